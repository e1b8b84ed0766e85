"""Celery's consumer looks for the next job as soon as one has ended."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from celery import signals
from kombu.asynchronous.hub import Hub

from worker.app import FREE_AFTER_S, look_after_jobs


def test_the_end_of_a_job_wakes_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop sleeps for up to a second while nothing is due; here for a minute."""
    hub, (quiet, other) = Hub(), socket.socketpair()
    hub.add_reader(quiet, lambda: None)
    ending = threading.Timer(0.2, signals.task_postrun.send, (None,))
    sleeps_s: list[float] = []
    due: list[float] = []
    really_poll, really_call = hub.poller.poll, hub.timer.call_after

    def poll(seconds: float):
        sleeps_s.append(seconds)
        if len(sleeps_s) > 1:
            return really_poll(min(seconds, FREE_AFTER_S))
        ending.start()
        return really_poll(60)

    def call_after(seconds: float, _: Callable[[], None]):
        return really_call(seconds, lambda: due.append(seconds))

    monkeypatch.setattr(hub.poller, "poll", poll)
    monkeypatch.setattr(hub.timer, "call_after", call_after)
    loop = hub.create_loop()
    look_after_jobs(SimpleNamespace(hub=hub))
    look_after_jobs(SimpleNamespace(hub=hub))  # ready again, after a lost connection
    began = time.monotonic()
    try:
        next(loop)  # at the signal
        assert 0.2 <= time.monotonic() - began < 30
        next(loop)  # and when the thread is certainly free
        assert sleeps_s[1] <= FREE_AFTER_S or due == [FREE_AFTER_S]
    finally:
        ending.join()
        hub.close()
        quiet.close()
        other.close()

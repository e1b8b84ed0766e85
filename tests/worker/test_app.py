"""Celery's consumer looks for the next job as soon as one has ended."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

from celery import signals
from kombu.asynchronous.hub import Hub

from worker.app import look_after_jobs


def test_the_end_of_a_job_wakes_the_consumer() -> None:
    """Its loop sleeps for up to a second while nothing is due."""
    hub, (quiet, other) = Hub(), socket.socketpair()
    hub.add_reader(quiet, lambda: None)
    loop = hub.create_loop()
    look_after_jobs(SimpleNamespace(hub=hub))
    look_after_jobs(SimpleNamespace(hub=hub))  # ready again, after a lost connection
    ending = threading.Timer(0.2, signals.task_postrun.send, (None,))
    ending.start()
    began = time.monotonic()
    try:
        for _ in range(2):  # at the signal, and when the thread is certainly free
            next(loop)
        assert 0.2 <= time.monotonic() - began < 0.9
    finally:
        ending.join()
        hub.close()
        quiet.close()
        other.close()

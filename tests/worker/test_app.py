"""Celery's consumer looks for jobs often enough that no slot stays empty for long."""

from __future__ import annotations

from types import SimpleNamespace

from kombu.asynchronous.timer import Timer

from worker.app import LOOK_S, look_often


def test_the_consumer_is_woken_again_and_again() -> None:
    """Its loop sleeps until the next timer is due, at most a second."""
    timer = Timer()
    look_often(SimpleNamespace(timer=timer))
    assert LOOK_S <= 0.2
    for _ in range(3):  # a timer that repeats is due again after each turn
        waits_s, entry = next(iter(timer))
        assert (waits_s or 0) <= LOOK_S
        if entry is not None:
            timer.apply_entry(entry)

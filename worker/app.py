"""The Celery app of a worker process. Celery only says that a job waits: `lifecycle`
builds the engine and `relay` runs a job."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from edge.jobs.queue import celery_settings, queue_of
from edge.settings import Settings
from worker import tasks
from worker.lifecycle import Life
from worker.transport import use_for_redis

LOOK_S = 0.1  # at most, until a free slot looks for the next job


def build(settings: Settings, life: Life) -> Celery:
    """A Celery app around a `life` that has been started."""
    use_for_redis()
    app = Celery("edge")
    app.conf.update(celery_settings(settings.broker_url))
    app.conf.task_default_queue = queue_of(life.pool)
    signals.worker_ready.connect(life.ready, weak=False)
    signals.worker_ready.connect(look_often, weak=False)
    signals.worker_shutting_down.connect(life.drain, weak=False)
    signals.worker_shutdown.connect(life.stop, weak=False)
    tasks.register(app, life)
    return app


def run(settings: Settings, life: Life) -> None:
    """Runs until SIGTERM or SIGINT."""
    build(settings, life).worker_main(
        [
            "worker",
            "--pool=threads",  # one process holds the model; its threads only relay
            f"--concurrency={settings.slots}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )


def look_often(sender: Any, **_: Any) -> None:
    """Wakes the loop of Celery's consumer, `sender`, more often than once a second.

    With prefetch off it asks the broker for a job only when a thread is free, and only
    when something wakes it, which the end of a job in a thread does not: 16 clients got
    4 answers a second out of 4 slots that could give 10. Its timers end with each lost
    connection; it is ready again after each new one.
    """
    sender.timer.call_repeatedly(LOOK_S, lambda: None)

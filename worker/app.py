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

FREE_AFTER_S = 0.02  # the most that Celery takes to count a thread as free


def build(settings: Settings, life: Life) -> Celery:
    """A Celery app around a `life` that has been started."""
    use_for_redis()
    app = Celery("edge")
    app.conf.update(celery_settings(settings.broker_url))
    app.conf.task_default_queue = queue_of(life.pool)
    signals.worker_ready.connect(life.ready, weak=False)
    signals.worker_ready.connect(look_after_jobs, weak=False)
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
            "--without-heartbeat",  # nobody listens: `heartbeat` has its own
            "--loglevel=INFO",
        ]
    )


def look_after_jobs(sender: Any, **_: Any) -> None:
    """Lets the loop of Celery's consumer, `sender`, look for the next job when one has
    ended.

    With prefetch off it asks the broker for a job only when a thread is free, and only
    when something wakes it, which the end of a job in a thread does not: otherwise it
    sleeps for up to a second beside a free slot.
    """
    hub = sender.hub

    def look_again(**_: Any) -> None:
        # Celery counts the thread as free a moment after this signal
        hub.call_soon(hub.timer.call_after, FREE_AFTER_S, lambda: None)

    signals.task_postrun.connect(look_again, weak=False, dispatch_uid="look again")

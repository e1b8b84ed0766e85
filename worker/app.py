"""The Celery app of a worker process. Celery only hands over job ids: `lifecycle`
builds the engine and `relay` runs a job."""

from __future__ import annotations

from celery import Celery, signals

from edge.jobs.queue import celery_settings
from edge.settings import Settings
from worker import tasks
from worker.lifecycle import Life


def build(settings: Settings) -> Celery:
    """A Celery app whose worker lives as `Life` says."""
    app = Celery("edge")
    app.conf.update(celery_settings(settings.broker_url))
    life = Life(settings)
    signals.worker_init.connect(life.start, weak=False)
    signals.worker_ready.connect(life.ready, weak=False)
    signals.worker_shutdown.connect(life.stop, weak=False)
    tasks.register(app, life)
    return app

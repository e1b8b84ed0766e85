"""The Celery app of a worker process. Celery only hands over job ids; `lifecycle`
builds the engine and `relay` runs a job."""

from __future__ import annotations

from celery import Celery

from edge.jobs.queue import celery_settings
from edge.settings import Settings
from worker import lifecycle, tasks


def build(settings: Settings) -> Celery:
    """A Celery app that builds its engine when its worker starts."""
    app = Celery("edge")
    app.conf.update(celery_settings(settings.broker_url))
    lifecycle.connect(settings)
    tasks.register(app)
    return app

"""The one Celery task. No logic: a task only gives a job a thread."""

from __future__ import annotations

from celery import Celery

from edge.jobs.queue import TASK
from worker.lifecycle import Life


def register(app: Celery, life: Life) -> None:
    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def answer() -> None:
        life.relay.answer()

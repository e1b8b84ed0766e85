"""The life of a worker process: plan, build and warm the engine, then serve and stop.

The engine is built once, before Celery's threads start, and lives in this process.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from edge.engine.engine import Engine
from edge.events import Failed, Finished
from edge.images import Picture
from edge.jobs import fleet
from edge.jobs.channel import RedisPublisher
from edge.jobs.worker_side import WorkerJobs
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.redis_clients import sync_client
from edge.request import Message, Request, SamplingParams
from edge.serving.build import build_engine
from edge.serving.plan import Plan, make_plan
from edge.settings import Settings
from worker.checker import Checker
from worker.gate import Gate
from worker.metrics import Metrics, serve
from worker.pulse import Pulse
from worker.relay import Relay

log = logging.getLogger(__name__)


def warm(engine: Engine) -> None:
    """Answers one small question, so that no client waits for first-time work and a
    model that cannot compute on this machine fails now.

    Raises EngineError when it fails; a crash in native code ends the process.
    """
    grey = Picture(64, 64, bytes([128]) * (64 * 64 * 3))
    question = Message("user", (grey.ref, "What is this?"))
    request = Request((question,), SamplingParams(max_tokens=2))
    ticket = engine.submit(request, {grey.ref.sha256: grey})
    while not isinstance(event := ticket.next(), Finished):
        if isinstance(event, Failed):
            raise event.error


class Life:
    """A worker from its start to its end; `build` makes the engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = sync_client(settings.broker_url)

    def start(self, build: Callable[[Plan], Engine] = build_engine) -> None:
        """Before Celery: plans, builds and warms the engine. Raises SetupError, or the
        EdgeError of the first question."""
        settings = self._settings
        self._metrics = metrics = Metrics()
        if port := settings.metrics_port:
            # first, so that a port in use is reported before the model is loaded
            serve(metrics, settings.metrics_address, port)
        files = find_model(settings, obtain)
        fingerprint = files.fingerprint  # before loading: a changed file is refused
        plan = make_plan(settings, files)
        self._engine = build(plan)
        warm(self._engine)
        metrics.watch(self._engine)
        self._info = fleet.WorkerInfo(
            name=f"{socket.gethostname()}-{os.getpid()}",
            model=files.name,
            fingerprint=f"{fingerprint} {self._engine.tower_name}",
            vision=self._engine.tower_name,
            n_slots=plan.settings.slots,
            runtime=self._engine.runtime_name,
            n_cells=plan.n_kv_cells,
        )
        self.pool = self._info.pool
        self._jobs = WorkerJobs(self._broker, self.pool)
        self._gate = Gate(self._jobs)
        channel = RedisPublisher(self._broker)
        self.relay = Relay(self._engine, self._jobs, channel, self._gate, metrics)
        self._pulse: Pulse | None = None

    # Each of these is one of Celery's worker signals.

    def ready(self, **_: Any) -> None:
        """When jobs are taken; Celery says so again after each reconnection."""
        if self._pulse is None:
            self._checker = Checker(self._engine, self._jobs, self._metrics)
            heart = fleet.Heart(self._broker, self._info)
            self._pulse = Pulse(
                *(heart, self._engine, self._jobs, self._gate),
                *(self._settings.slots, self._settings.hang_s),
            )

    def drain(self, **_: Any) -> None:
        """When it is asked to stop: running answers may end within the grace."""
        self.relay.drain(self._settings.grace_s)
        if self._pulse:
            self._pulse.close()

    def stop(self, **_: Any) -> None:
        """When the last job is done."""
        if self._pulse:
            self._checker.close()
        self._engine.close()

"""The life of a worker process: plan, build and warm the engine, then serve and stop.

The engine is built once, before Celery's threads start, and lives in this process.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from edge.engine.engine import Engine
from edge.errors import SetupError
from edge.events import Failed, Finished
from edge.huge_pages import collapse_pages
from edge.images import Picture
from edge.jobs import fleet
from edge.jobs.channel import RedisPublisher
from edge.jobs.estimate import Size
from edge.jobs.worker_side import WorkerJobs
from edge.models.facts import facts_of
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.redis_clients import sync_client
from edge.request import Answer, Message, Request, SamplingParams
from edge.serving.build import build_engine
from edge.serving.first_start import tune_at_first_start
from edge.serving.plan import Plan, make_plan
from edge.settings import Settings
from worker.claiming import Claiming
from worker.embedding_store import EmbeddingStore
from worker.heartbeat import Heartbeat
from worker.metrics import Metrics, serve
from worker.preflight import Preflight
from worker.prepared import PreparedJobs
from worker.relay import Relay
from worker.watchdog import Watchdog

log = logging.getLogger(__name__)


def warm(engine: Engine) -> tuple[Size, Answer]:
    """Answers one small question, so that no client waits for first-time work and a
    model that cannot compute on this machine fails now. Returns its size and the
    answer, whose times are a first measure of the machine.

    Raises EngineError when it fails; a crash in native code ends the process.
    """
    # small, but not so small that its tokens would seem slow
    grey = Picture(256, 256, bytes([128]) * (256 * 256 * 3))
    question = Message("user", (grey.ref, "What is this?"))
    request = Request((question,), SamplingParams(max_tokens=2))
    prepared = engine.check(request)
    size = Size(prepared.n_prompt, prepared.n_encode, request.answer_tokens)
    ticket = engine.submit(request, {grey.ref.sha256: grey}, prepared=prepared)
    while not isinstance(event := ticket.next(), Finished):
        if isinstance(event, Failed):
            raise event.error
    return size, event.answer


class Life:
    """A worker from its start to its end; `build` makes the engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = sync_client(settings.broker_url)
        self._is_draining = False

    def start(self, build: Callable[[Plan], Engine] = build_engine) -> None:
        """Before Celery: plans, builds and warms the engine. Raises SetupError, or the
        EdgeError of the first question."""
        settings = self._settings
        if settings.models:
            raise SetupError(
                "A worker serves one model: set EDGE_MODEL for each worker. "
                "EDGE_MODELS is for `edge up`."
            )
        self._metrics = metrics = Metrics()
        if port := settings.metrics_port:
            # first, so that a port in use is reported before the model is loaded
            serve(metrics, settings.metrics_address, port)
        files = find_model(settings, obtain)
        facts = facts_of(files)  # before loading: a changed file is refused
        plan = make_plan(settings, files)
        if tune_at_first_start(plan, log.info):
            plan = make_plan(settings, files)
        self._engine = build(plan)
        size, answer = warm(self._engine)
        # Of the weights, which the first question has copied: takes seconds.
        Thread(target=collapse_pages, name="large pages", daemon=True).start()
        fingerprint = f"{facts.digest} {self._engine.tower_name}"
        self._store = None
        if settings.cache_url and settings.embeddings_mb:
            store = EmbeddingStore(settings.cache_url, fingerprint, settings.slots)
            self._store = self._engine.encoder.store = store
        elif settings.embeddings_mb:
            log.warning(
                "EDGE_CACHE_URL is empty: no other worker gets the embeddings of "
                "pictures that this one makes, and they end with it."
            )
        metrics.watch(self._engine, plan.need.kv_bytes, self._store)
        self._info = fleet.WorkerInfo(
            name=f"{socket.gethostname()}-{os.getpid()}",
            model=files.name,
            fingerprint=fingerprint,
            vision=self._engine.tower_name,
            n_slots=plan.settings.slots,
            runtime=self._engine.runtime_name,
            n_cells=plan.n_kv_cells,
            min_image_tokens=plan.min_image_tokens,
            max_image_tokens=plan.max_image_tokens,
            capabilities=fleet.CAPABILITIES,
            thinks=self._engine.thinks,
            **vars(facts),
        )
        self.pool = self._info.pool
        self._jobs = WorkerJobs(self._broker, self.pool)
        self._jobs.guess_pace(size, answer)
        self._claiming = Claiming(self._jobs)
        channel = RedisPublisher(self._broker)
        self._prepared = PreparedJobs()
        self.relay = Relay(
            self._engine, self._jobs, channel, self._claiming, metrics, self._prepared
        )
        self._heartbeat: Heartbeat | None = None

    # Each of these is one of Celery's worker signals.

    def ready(self, **_: Any) -> None:
        """Called when jobs are taken, and again after each reconnection."""
        if self._heartbeat is None:
            self._preflight = Preflight(
                self._engine, self._jobs, self._metrics, self._prepared
            )
            watchdog = Watchdog(
                self._engine,
                self._jobs,
                self._claiming,
                n_slots=self._settings.slots,
                hang_s=self._settings.hang_s,
            )
            heart = fleet.Heart(self._broker, self._info)
            self._heartbeat = Heartbeat(heart, watchdog)

    def drain(self, **_: Any) -> None:
        """Called on a request to stop: running answers may finish within the grace.

        This is a signal handler, and a second signal can interrupt it while it holds a
        lock: a dying supervisor sends one for each of its threads.
        """
        if self._is_draining:
            return
        self._is_draining = True
        self.relay.drain(self._settings.grace_s)
        if self._heartbeat:
            self._heartbeat.close()

    def stop(self, **_: Any) -> None:
        """Called after the last job."""
        if self._heartbeat:
            self._preflight.close()
        self._engine.close()
        if self._store:
            self._store.close()

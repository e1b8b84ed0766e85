"""The life of a worker process: build the engine, warm it, beat, stop.

The engine is built once, before Celery's threads start, and lives in this process.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import Any

from edge import host
from edge.engine.engine import Engine
from edge.engine.protocols import VisionTower
from edge.errors import EdgeError, SetupError
from edge.events import Failed, Finished
from edge.images import Picture
from edge.jobs import fleet
from edge.jobs.channel import RedisPublisher
from edge.jobs.worker_side import WorkerJobs
from edge.models.check import check
from edge.models.registry import ModelFiles, find_model
from edge.models.store import obtain
from edge.redis_clients import UNREACHABLE, sync_client
from edge.request import Message, Request, SamplingParams
from edge.runtime.llama import LlamaRuntime
from edge.runtime.model import Model
from edge.runtime.mtmd import MtmdTower
from edge.settings import Settings
from edge.vision.tower_openvino import OpenvinoTower
from worker.metrics import Metrics, serve
from worker.relay import Relay

log = logging.getLogger(__name__)


def build_engine(settings: Settings, files: ModelFiles) -> Engine:
    """The real engine over `files`. Raises SetupError when it cannot be."""
    cells = check(files, settings)
    threads = settings.threads or host.usable_cores()
    model = Model(files.model, repack=settings.repack)
    tower = build_tower(settings, files, model, cells)
    runtime = LlamaRuntime(
        model,
        n_slots=settings.slots,
        n_cells=settings.context_tokens,
        max_batch=settings.chunk_tokens + settings.slots,
        threads=threads,
        n_kept=settings.kept,
    )
    keep_bytes = settings.embeddings_mb * 1_000_000
    return Engine(runtime, tower, settings.chunk_tokens, keep_bytes)


def build_tower(
    settings: Settings, files: ModelFiles, model: Model, cells: tuple[int, int]
) -> VisionTower:
    """The vision tower that `settings` ask for, for pictures of so many `cells`.

    Raises SetupError when it cannot be; `auto` falls back to llama.cpp's own.
    """
    min_tokens, max_tokens = cells
    threads = settings.threads or host.usable_cores()
    if settings.vision != "mtmd":
        try:
            return OpenvinoTower(
                files.mmproj,
                settings.data_dir / "models" / "towers",
                precision="f32" if settings.vision == "f32" else "int8",
                threads=threads,
                min_tokens=min_tokens,
                max_tokens=max_tokens,
            )
        except SetupError as error:
            if settings.vision != "auto":
                raise
            log.warning("%s Pictures are read by llama.cpp: slower.", error)
    return MtmdTower(
        files.mmproj,
        model,
        threads=threads,
        min_tokens=min_tokens,
        max_tokens=max_tokens,
    )


def warm(engine: Engine) -> None:
    """Answers one small question, so that no client waits for first-time work and a
    model that cannot compute on this machine is found out now.

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
    """What happens when: each method is one of Celery's worker signals."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = sync_client(settings.broker_url)
        self._stopping = threading.Event()

    def start(self, **_: Any) -> None:
        """Before Celery's threads: build and warm the engine, or say why not."""
        metrics = Metrics()
        try:
            if port := self._settings.metrics_port:
                # first of all: a port that is taken is told before the model is loaded
                serve(metrics, self._settings.metrics_address, port)
            files = find_model(self._settings, obtain)
            self._engine = build_engine(self._settings, files)
            warm(self._engine)
            metrics.watch(self._engine)
        except EdgeError as error:
            sys.exit(error.message)
        channel = RedisPublisher(self._broker)
        jobs = WorkerJobs(self._broker, channel)
        self.relay = Relay(self._engine, jobs, channel, metrics)
        info = fleet.WorkerInfo(
            name=f"{socket.gethostname()}-{os.getpid()}",
            model=files.name,
            fingerprint=f"{files.fingerprint} {self._engine.tower_name}",
            vision=self._engine.tower_name,
            n_slots=self._settings.slots,
        )
        self._heart = threading.Thread(target=self._beat, args=(info,), daemon=True)

    def ready(self, **_: Any) -> None:
        """When jobs are taken; Celery says so again after each reconnection."""
        if self._heart.ident is None:
            self._heart.start()

    def stop(self, **_: Any) -> None:
        """When the last job is done."""
        self._stopping.set()
        self._engine.close()

    def _beat(self, info: fleet.WorkerInfo) -> None:
        while not self._stopping.wait(fleet.BEAT_S):
            if not self._engine.is_alive:  # it cannot answer: it must not take jobs
                log.critical("the engine is dead: this worker ends")
                os._exit(70)
            try:
                fleet.beat(self._broker, info)
            except UNREACHABLE as error:  # it beats again when Redis is back
                log.warning("no heartbeat: %s", error)
        fleet.leave(self._broker, info)

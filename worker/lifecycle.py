"""The life of a worker process: build the engine, warm it, beat, stop.

The engine is built once, before Celery's threads start, and lives in this process.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from edge import host
from edge.engine.engine import Engine
from edge.engine.protocols import NoPrefill, Prefill, VisionTower
from edge.errors import SetupError
from edge.events import Failed, Finished
from edge.images import Picture
from edge.jobs import fleet
from edge.jobs.channel import RedisPublisher
from edge.jobs.worker_side import WorkerJobs
from edge.models.check import check, settle
from edge.models.memory import LONGEST_PREFILL
from edge.models.registry import ModelFiles, compiled_folder, find_model
from edge.models.store import obtain
from edge.models.tuning import tuned
from edge.prefill.prefill_openvino import OpenvinoPrefill
from edge.redis_clients import sync_client
from edge.request import Message, Request, SamplingParams
from edge.runtime.llama import LlamaRuntime
from edge.runtime.model import Model
from edge.runtime.mtmd import MtmdTower
from edge.settings import Settings
from edge.vision.tower_openvino import OpenvinoTower
from worker.checker import Checker
from worker.gate import Gate
from worker.metrics import Metrics, serve
from worker.pulse import Pulse
from worker.relay import Relay

log = logging.getLogger(__name__)


def build_engine(settings: Settings, files: ModelFiles) -> Engine:
    """The real engine over `files`. Raises SetupError when it cannot be."""
    settings, _, said = tuned(settings, files)
    log.info(said)
    cells = check(files, settings)
    prefill = build_prefill(settings, files)
    model = Model(files.model, repack=settings.repack)
    tower = build_tower(settings, files, model, cells)
    runtime = build_runtime(settings, model)
    keep_bytes = settings.embeddings_mb * 1_000_000
    return Engine(runtime, tower, settings.chunk_tokens, keep_bytes, prefill)


def build_prefill(settings: Settings, files: ModelFiles) -> Prefill:
    """Who computes prompts beside llama.cpp, if anybody.

    Raises SetupError when `settings` ask for somebody who cannot.
    """
    wanted, settings = settings.prefill, settle(files, settings)
    if settings.prefill == "llama":
        return NoPrefill()
    try:
        return OpenvinoPrefill(
            files.model,
            compiled_folder(settings),
            threads=settings.threads or host.usable_cores(),
            longest=min(LONGEST_PREFILL, settings.context_tokens),
        )
    except SetupError as error:
        if wanted != "auto":
            raise
        log.warning("%s Prompts are computed by llama.cpp: slower.", error)
        return NoPrefill()


def build_runtime(settings: Settings, model: Model) -> LlamaRuntime:
    """llama.cpp over `model`, which it owns from now on. Raises SetupError when there
    is not enough memory."""
    return LlamaRuntime(
        model,
        n_slots=settings.slots,
        n_cells=settings.context_tokens,
        max_batch=settings.chunk_tokens + settings.slots,
        threads=settings.threads or host.usable_cores(),
        n_kept=settings.kept,
        kv=settings.kv,
    )


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
                compiled_folder(settings),
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
    """A worker from its start to its end; `build` makes the engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = sync_client(settings.broker_url)

    def start(
        self, build: Callable[[Settings, ModelFiles], Engine] = build_engine
    ) -> None:
        """Before Celery: builds and warms the engine. Raises SetupError, or whatever
        EdgeError the warming ends in."""
        settings = self._settings
        self._metrics = metrics = Metrics()
        if port := settings.metrics_port:
            # first of all: a port that is taken is told before the model is loaded
            serve(metrics, settings.metrics_address, port)
        files = find_model(settings, obtain)
        self._engine = build(settings, files)
        warm(self._engine)
        metrics.watch(self._engine)
        self._info = fleet.WorkerInfo(
            name=f"{socket.gethostname()}-{os.getpid()}",
            model=files.name,
            fingerprint=f"{files.fingerprint} {self._engine.tower_name}",
            vision=self._engine.tower_name,
            n_slots=settings.slots,
            prefill=self._engine.prefill_name,
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

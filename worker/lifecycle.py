"""The life of a worker process: build the engine, beat, stop.

The engine is built once, before Celery's threads start, and lives in this process.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import Any

from celery import signals

from edge import host
from edge.engine.engine import Engine
from edge.errors import EdgeError
from edge.jobs import fleet
from edge.jobs.channel import RedisPublisher
from edge.jobs.worker_side import WorkerJobs
from edge.models.registry import ModelFiles, find_model
from edge.redis_clients import sync_client
from edge.runtime.llama import LlamaRuntime
from edge.runtime.model import Model
from edge.runtime.mtmd import MtmdTower
from edge.settings import Settings
from worker.relay import Relay

log = logging.getLogger(__name__)

_relay: Relay | None = None


def build_engine(settings: Settings, files: ModelFiles) -> Engine:
    """The real engine over `files`. Raises SetupError when it cannot be."""
    threads = settings.threads or host.usable_cores()
    model = Model(files.model)
    tower = MtmdTower(
        files.mmproj, model, threads=threads, max_tokens=settings.image_tokens
    )
    runtime = LlamaRuntime(
        model,
        n_slots=settings.slots,
        n_cells=settings.context_tokens,
        max_batch=settings.chunk_tokens + settings.slots,
        threads=threads,
    )
    return Engine(runtime, tower, settings.chunk_tokens)


def relay() -> Relay:
    """The relay of this process; there is one once the worker has started."""
    assert _relay is not None
    return _relay


def connect(settings: Settings) -> None:
    """Hangs the engine's life on that of the Celery worker."""
    signals.worker_init.connect(lambda **_: _start(settings), weak=False)


def _start(settings: Settings) -> None:
    global _relay
    try:
        files = find_model(settings)
        engine = build_engine(settings, files)
    except EdgeError as error:
        sys.exit(error.message)
    broker = sync_client(settings.broker_url)
    channel = RedisPublisher(broker)
    _relay = Relay(engine, WorkerJobs(broker, channel), channel)
    info = fleet.WorkerInfo(
        name=f"{socket.gethostname()}-{os.getpid()}",
        model=files.name,
        fingerprint=files.fingerprint,
        n_slots=settings.slots,
        n_cells=settings.context_tokens,
    )
    stopping = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(broker, info, engine, stopping), daemon=True
    )

    def ready(**_: Any) -> None:
        if beating.ident is None:  # Celery is "ready" again after each reconnection
            beating.start()

    def stop(**_: Any) -> None:
        stopping.set()
        engine.close()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)


def _beat(broker: Any, info: fleet.WorkerInfo, engine: Engine, stop: Any) -> None:
    while not stop.wait(fleet.BEAT_S):
        if not engine.is_alive:  # a worker that cannot answer must not take jobs
            log.critical("the engine is dead: this worker ends")
            os._exit(70)
        try:
            fleet.beat(broker, info)
        except Exception as error:  # Redis is away: beat again when it is back
            log.warning("no heartbeat: %s", error)
    fleet.leave(broker, info)

"""The worker's heartbeat, and its end when it can no longer be of use.

A worker that hangs in native code or whose queue has fallen silent cannot be mended
from inside; it ends, its jobs are tried again, and whoever started it starts it anew.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import NoReturn

from edge.engine.engine import Engine
from edge.jobs.fleet import BEAT_S, Heart
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import UNREACHABLE
from worker.claiming import Claiming

log = logging.getLogger(__name__)

SILENT_S = 2.0  # a turn that takes longer makes us doubt: nobody new is sent here
STALL_S = 10.0  # a message that lies so long beside a free slot is not seen at all
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Heartbeat:
    """Beats until `close`, while a question could be answered here; ends the process
    when the engine makes no step for `hang_s`, or for ten times its longest one."""

    def __init__(
        self,
        heart: Heart,
        engine: Engine,
        jobs: WorkerJobs,
        claiming: Claiming,
        n_slots: int,
        hang_s: float,
    ) -> None:
        self._heart = heart
        self._engine = engine
        self._jobs = jobs
        self._claiming = claiming
        self._n_slots = n_slots
        self._hang_s = hang_s
        self._unseen_since: float | None = None
        self._held_since: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name="heartbeat", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """The last sign: from now on nothing new comes here."""
        self._closed.set()

    def _loop(self) -> None:
        while not self._closed.is_set():
            self._watch_engine()
            self._watch_threads()
            try:
                if not self._is_doubtful:
                    self._heart.beat()
                self._watch_queue()
            except UNREACHABLE as error:  # it beats again when Redis is back
                log.warning("no heartbeat: %s", error)
                self._unseen_since = self._held_since = None
            self._closed.wait(BEAT_S)
        with suppress(*UNREACHABLE):  # it will be missed soon enough
            self._heart.leave()

    @property
    def _is_doubtful(self) -> bool:
        """Whether a new question might not be answered here: then it does not beat."""
        if self._held_s > SILENT_S:
            return True
        return self._engine.silent_s > max(SILENT_S, 3 * self._engine.longest_turn_s)

    @property
    def _held_s(self) -> float:
        """How long all threads have held questions of which the engine has none."""
        return time.monotonic() - self._held_since if self._held_since else 0.0

    def _watch_engine(self) -> None:
        if not self._engine.is_alive:
            _end("the engine is dead")
        silent_s = self._engine.silent_s
        if silent_s > max(self._hang_s, 10 * self._engine.longest_turn_s):
            _end(f"the engine has made no step for {silent_s:.0f} s")

    def _watch_threads(self) -> None:
        if self._claiming.n_running < self._n_slots or self._engine.n_open:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = time.monotonic()
        if self._held_s > self._hang_s:
            _end("all threads hold questions, and none has reached the engine")

    def _watch_queue(self) -> None:
        """Consumers have been seen to hear nothing after Redis had been away."""
        now = time.monotonic()
        is_free = self._claiming.n_running < self._n_slots
        if not is_free or not self._jobs.n_called():
            self._unseen_since = None
        elif self._unseen_since is None or self._claiming.asked_at > self._unseen_since:
            self._unseen_since = now
        elif now - self._unseen_since > STALL_S:
            _end("jobs wait, a slot is free, and the queue tells nothing")


def _end(reason: str) -> NoReturn:
    log.critical("%s: this worker ends", reason)
    os._exit(EXIT_CODE)

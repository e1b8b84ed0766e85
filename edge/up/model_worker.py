"""The worker of one model: loaded, or not in memory.

What takes a while is a generator, which yields while it waits: the supervisor has other
parts to look after meanwhile.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from edge import host
from edge.errors import SetupError
from edge.jobs import fleet
from edge.jobs.fleet import WorkerInfo
from edge.jobs.switching import Switching
from edge.redis_clients import UNREACHABLE, SyncRedis
from edge.serving.plan import Plan
from edge.up.stack import Stack
from edge.up.stand_in import StandIn
from edge.up.supervise import Child, Part

T = TypeVar("T")
Steps = Generator[None, None, T]

FIRST_LOAD_S: Final = 10.0  # before it was measured
RETRY_S: Final = 10.0  # after it did not load


class ModelWorker:
    """The worker that `part` starts. `info` is what it said of itself, None before its
    first start; `load_s` how long that took; `n_failures` how often in a row it did not
    load."""

    def __init__(self, plan: Plan, part: Part, stack: Stack, nth: int) -> None:
        self.plan = plan
        self.nth = nth  # of the models that are served together
        self.name = plan.files.name
        self.info: WorkerInfo | None = None
        self.load_s = FIRST_LOAD_S
        self.stand_in: StandIn | None = None  # while it is not in memory
        self._n_busy = 0
        self.n_failures = 0
        self._failed_at = 0.0
        self.n_live = 0
        self._asked_at = self._loaded_at = time.monotonic()
        self._mark = b""
        self._part = part
        self._stack = stack
        self._child: Child | None = None

    @property
    def is_loaded(self) -> bool:
        return self._child is not None

    @property
    def held_bytes(self) -> int:
        """Its memory that no file backs."""
        process = self._child and self._child.process
        held = host.held_by(process.pid) if process else []
        return sum(one.anonymous_bytes for one in held)

    @property
    def growth_bytes(self) -> int:
        """What it may still take, by its plan."""
        if not self.is_loaded:
            return 0
        return max(0, self.plan.need.total_bytes - self.held_bytes)

    @property
    def idle_s(self) -> float:
        """How long nobody has asked it."""
        return time.monotonic() - self._asked_at

    @property
    def loaded_s(self) -> float:
        """How long it has been loaded, if it is."""
        return time.monotonic() - self._loaded_at

    @property
    def may_try(self) -> bool:
        """Whether it may be loaded, some time after that has failed."""
        return not self.n_failures or time.monotonic() - self._failed_at >= RETRY_S

    def notice(self, n_live: int, mark: bytes) -> None:
        """Its unfinished jobs, and what changes with each one that has ended."""
        if n_live or mark != self._mark:
            self._asked_at = time.monotonic()
        self.n_live, self._mark = n_live, mark

    @property
    def is_busy(self) -> bool:
        """Whether it loads, leaves, or takes part in a switch."""
        return self._n_busy > 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Inside nothing else decides about it. It does not wait for others: see
        `is_busy`."""
        self._n_busy += 1
        try:
            yield
        finally:
            self._n_busy -= 1

    def close_stand_in(self) -> None:
        if self.stand_in:
            self.stand_in.close()
            self.stand_in = None

    def load(self, broker: SyncRedis) -> Steps[WorkerInfo]:
        """Starts it and returns when it takes questions. Raises SetupError when it
        cannot start."""
        began = time.monotonic()
        try:
            child = self._child = self._stack.begin(self._part)
        except OSError as error:
            self._count_failure()
            raise SetupError(
                f"{self._part.name} cannot be started: {error.strerror}."
            ) from None
        assert child.process
        name, pid = socket.gethostname(), child.process.pid
        try:
            info = None
            while info is None:
                yield
                if child.check_start():
                    info = yield from insist(lambda: fleet.find(broker, name, pid))
        except SetupError:
            self._count_failure()
            self._forget(child)
            raise
        self.load_s, self.info = time.monotonic() - began, info
        self._asked_at = self._loaded_at = time.monotonic()
        self.n_failures = 0
        self._stack.keep(child)
        pool, switching = info.pool, Switching(broker)
        yield from insist(lambda: switching.reopen(pool))
        # an `edge up` that was killed while it unloaded the model has left this
        yield from insist(lambda: switching.resume(pool))
        return info

    def unload(self) -> Steps[None]:
        """Lets it end its answers within the grace, and returns when it has left."""
        child = self._child
        if child is None:
            return
        child.is_kept_alive = False
        child.ask()
        gives_up = time.monotonic() + self._part.stop_s
        while child.is_alive and time.monotonic() < gives_up:
            yield
        self._forget(child)

    def _count_failure(self) -> None:
        self.n_failures += 1
        self._failed_at = time.monotonic()

    def _forget(self, child: Child) -> None:
        self._child = None
        self._stack.drop(child)


def insist(action: Callable[[], T]) -> Steps[T]:
    """Tries again while the broker is away."""
    while True:
        try:
            return action()
        except UNREACHABLE:
            yield


def in_thread(action: Callable[[], T]) -> Steps[T]:
    """The result of what takes seconds of computing."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(action)
        while not future.done():
            yield
        return future.result()


def until(question: Callable[[], bool]) -> Steps[None]:
    """Asks until the answer is yes."""
    while not (yield from insist(question)):
        yield

"""A worker without Celery: all its parts over a stub engine and a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.engine.engine import Engine
from edge.jobs.fleet import FLEET, Heart
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.jobs.jobs_harness import WORKER, JobsHarness
from worker.claiming import Claiming
from worker.heartbeat import Heartbeat
from worker.metrics import Metrics
from worker.preflight import Preflight
from worker.prepared import PreparedJobs
from worker.relay import Relay
from worker.watchdog import Watchdog


class WorkerHarness(JobsHarness):
    """The jobs of a pool, and a worker that takes them when told."""

    def __init__(self, url: str, runtime: StubRuntime) -> None:
        super().__init__(url)
        self.runtime = runtime
        self.engine = Engine(runtime, StubTower())
        self.metrics = Metrics()
        self.claiming = Claiming(self.worker)
        self.prepared = PreparedJobs()
        self.relay = Relay(
            self.engine,
            self.worker,
            self.publisher,
            self.claiming,
            self.metrics,
            self.prepared,
        )

    async def close(self) -> None:
        self.engine.close()
        await super().close()

    @contextmanager
    def answering(self, n: int = 1, seconds: float = 60.0) -> Iterator[None]:
        """`n` threads answer one job each; after the block they end in `seconds`."""
        threads = [threading.Thread(target=self.relay.answer) for _ in range(n)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join(seconds)
            assert not thread.is_alive(), "it still answers"

    @contextmanager
    def checking(self) -> Iterator[None]:
        """The preflight check runs."""
        preflight = Preflight(self.engine, self.worker, self.metrics, self.prepared)
        try:
            yield
        finally:
            preflight.close()

    @contextmanager
    def beating(self, hang_s: float = 300, n_slots: int = 1) -> Iterator[None]:
        """The heartbeat and its watchdog run."""
        watchdog = Watchdog(self.engine, self.worker, self.claiming, n_slots, hang_s)
        heartbeat = Heartbeat(Heart(self.sync, WORKER), watchdog)
        try:
            yield
        finally:
            heartbeat.close()
            heartbeat._thread.join(60)

    def latest_beat(self) -> float:
        return self.sync.zscore(FLEET, WORKER.name) or 0.0

    def is_beating(self) -> bool:
        before = self.latest_beat()
        time.sleep(0.3)
        return self.latest_beat() > before

    def wait_computing(self, n: int = 1) -> None:
        """Until `n` answers are being computed."""
        self.wait(lambda: len(self.runtime.cells) >= n)

    def wait(self, condition: Callable[[], object]) -> None:
        wait_for(condition)


Make = Callable[..., WorkerHarness]

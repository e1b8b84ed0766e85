"""A worker without Celery: claiming and relay over a stub engine and a real Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.engine.engine import Engine
from edge.jobs.channel import Publisher
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.jobs.jobs_harness import JobsHarness
from worker.claiming import Claiming
from worker.metrics import Metrics
from worker.relay import Relay


class WorkerHarness(JobsHarness):
    """A harness with an engine behind it."""

    def __init__(
        self, url: str, runtime: StubRuntime, channel: Publisher | None = None
    ) -> None:
        super().__init__(url)
        self.runtime = runtime
        self.engine = Engine(runtime, StubTower())
        self.metrics = Metrics()
        self.claiming = Claiming(self.worker)
        channel = channel or self.publisher
        self.relay = Relay(
            self.engine, self.worker, channel, self.claiming, self.metrics
        )

    async def close(self) -> None:
        self.engine.close()
        await super().close()

    @contextmanager
    def answering(self, n: int = 1, seconds: float = 5.0) -> Iterator[None]:
        """So many threads answer one job each; when the block ends, they soon have."""
        threads = [threading.Thread(target=self.relay.answer) for _ in range(n)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join(seconds)
            assert not thread.is_alive(), "still at it"

    def wait_computing(self, n: int = 1) -> None:
        """Until so many answers are being computed."""
        self.wait(lambda: len(self.runtime.cells) >= n)

    def wait(self, condition: Callable[[], object]) -> None:
        wait_for(condition, 5)

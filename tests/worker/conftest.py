"""A worker over a stub engine whose answers are as long as asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from tests.worker.worker_harness import WorkerHarness


@pytest.fixture
async def harness(broker_url: str) -> AsyncIterator[WorkerHarness]:
    runtime = StubRuntime(answer=LONG_ANSWER, n_cells=40_000, step_s=0.002)
    one = WorkerHarness(broker_url, runtime)
    yield one
    await one.close()

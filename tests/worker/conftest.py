"""The bench: a worker's parts over a stub engine whose answers are as long as asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from tests.worker.bench import Bench


@pytest.fixture
async def bench(broker_url: str) -> AsyncIterator[Bench]:
    runtime = StubRuntime(answer=LONG_ANSWER, n_cells=40_000, step_s=0.002)
    one = Bench(broker_url, runtime)
    yield one
    await one.close()

"""Jobs in an empty Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from edge.jobs import reconcile
from tests.jobs.jobs_harness import JobsHarness, patient


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    with patient():
        yield


@pytest.fixture
async def harness(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[JobsHarness]:
    """Its reconciler judges leases from its first tick on."""
    monkeypatch.setattr(reconcile, "LEASE_S", -1)
    one = JobsHarness(broker_url)
    yield one
    await one.close()

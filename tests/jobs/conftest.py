"""The desk: jobs in an empty Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge.jobs import reconcile
from tests.jobs.desk import Desk


@pytest.fixture
async def desk(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A desk whose reconciler judges leases from its first tick on."""
    monkeypatch.setattr(reconcile, "LEASE_S", -1)
    one = Desk(broker_url)
    yield one
    await one.close()

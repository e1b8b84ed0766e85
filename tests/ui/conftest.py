"""Fixtures of all tests of the web process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.jobs.jobs_harness import patient
from tests.ui.api_harness import ApiHarness, api_harness
from ui import answer_cache
from ui.responses import store
from worker import preflight


@pytest.fixture(autouse=True)
def brief_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preflight ends soon after it is closed."""
    monkeypatch.setattr(preflight, "LOOK_S", 0.05)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A busy machine is late for nothing, and has what is cached and stored too."""
    monkeypatch.setattr(answer_cache, "PATIENCE_S", 60.0)
    monkeypatch.setattr(store, "PATIENCE_S", 60.0)
    with patient():
        yield


@pytest.fixture
async def web(
    broker_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[ApiHarness]:
    """A web process with the options that the module names in HARNESS."""
    async with api_harness(broker_url, **getattr(request.module, "HARNESS", {})) as web:
        yield web

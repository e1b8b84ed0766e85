"""Fixtures of all tests of the web process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ui.api_harness import ApiHarness, api_harness
from ui import answer_cache
from worker import preflight


@pytest.fixture(autouse=True)
def brief_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preflight ends soon after it is closed."""
    monkeypatch.setattr(preflight, "LOOK_S", 0.05)


@pytest.fixture(autouse=True)
def patient_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine has the answer cache too."""
    monkeypatch.setattr(answer_cache, "PATIENCE_S", 60.0)


@pytest.fixture
async def web(
    broker_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[ApiHarness]:
    """A web process with the options that the module names in HARNESS."""
    async with api_harness(broker_url, **getattr(request.module, "HARNESS", {})) as web:
        yield web

"""Hubs on loopback, and an environment without other hubs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.models import store
from tests.models.hub import Hub, running


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.fixture(autouse=True)
def patience_of_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ANSWER_S", 20.0)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running() as one:
        yield one


@pytest.fixture
def mirror() -> Iterator[Hub]:
    with running() as one:
        yield one

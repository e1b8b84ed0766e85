"""One service for the faults that it survives, and others for those that need more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest

from edge.jobs import keys
from tests.conftest import wait_for
from tests.faults.service import Service

Start = Callable[..., AbstractContextManager[Service]]


def ready(service: Service, n_slots: int | None = None, seconds: float = 120) -> None:
    """Returns when all its slots are there."""
    wanted = n_slots or 2

    def is_there() -> bool:
        try:
            state = httpx.get(service.url + "/ready", timeout=30).json()
        except (httpx.HTTPError, ValueError):
            return False
        return state.get("slots", 0) >= wanted

    wait_for(is_there, seconds)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a service; see `Service` for the options."""

    @contextmanager
    def one(n_slots: int = 2, **options: Any) -> Iterator[Service]:
        service = Service(tmp_path_factory.mktemp("faults"), **options)
        try:
            ready(service, n_slots)
            yield service
        finally:
            service.stop()

    return one


@pytest.fixture(scope="module")
def shared(start: Start) -> Iterator[Service]:
    """Two slots behind nginx, which repair themselves after each test."""
    with start(with_nginx=True) as one:
        yield one


@pytest.fixture
def service(shared: Service) -> Iterator[Service]:
    """The shared one, whole and empty."""
    ready(shared)
    deadline = time.monotonic() + 60
    for row in (keys.DEATHS, keys.DEATH_AT, keys.GUILT):
        for key in shared.broker.find(row):
            shared.broker.client.delete(key)
    while shared.n_live():
        assert time.monotonic() < deadline, "jobs were left over"
        time.sleep(0.1)
    yield shared

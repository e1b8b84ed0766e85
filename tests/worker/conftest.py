"""Workers over stub engines, and why they have ended themselves."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from tests.jobs.jobs_harness import patient
from tests.worker.worker_harness import Make, WorkerHarness
from worker import heartbeat, watchdog


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    with patient():
        yield


@pytest.fixture
async def harness(broker_url: str) -> AsyncIterator[WorkerHarness]:
    """A worker whose answers are as long as asked."""
    runtime = StubRuntime(answer=LONG_ANSWER, n_cells=40_000, step_s=0.002)
    one = WorkerHarness(broker_url, runtime)
    yield one
    await one.close()


@pytest.fixture
async def make(broker_url: str) -> AsyncIterator[Make]:
    """Makes a worker over a stub runtime with the given options."""
    made: list[WorkerHarness] = []

    def make_one(**stub: object) -> WorkerHarness:
        made.append(WorkerHarness(broker_url, StubRuntime(**stub)))
        return made[-1]

    yield make_one
    for one in made:
        await one.close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why workers have ended. In production that is `os._exit`; here a thread ends."""
    reasons: list[str] = []
    report = threading.excepthook

    def end(reason: str) -> None:
        reasons.append(reason)
        raise SystemExit

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            report(args)

    monkeypatch.setattr(threading, "excepthook", hook)
    monkeypatch.setattr(watchdog, "_end", end)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.02)
    return reasons

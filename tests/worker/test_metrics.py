"""A worker's metrics: the engine's own timings and figures, on a port of its own."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.engine.engine import Engine
from edge.errors import SetupError
from edge.events import Failed, Finished
from edge.images import Picture
from edge.request import Answer, Message, Request
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from edge.stubs.vision import StubTower
from edge.up.parts import free_port
from edge.usage import Timings, Usage
from tests.conftest import wait_for
from worker.metrics import Metrics, serve

PICTURE = Picture(64, 64, bytes(64 * 64 * 3))
TEXT = Request((Message("user", ("hello",)),))
SEEN = Request((Message("user", (PICTURE.ref, "hello")),))
TIMES = Timings(
    prepare_ms=10,
    embed_ms=2000,
    queue_ms=500,
    prefill_ms=1500,
    ttft_ms=4010,
    tpot_ms=200,
    e2e_ms=5000,
    drafted_tokens=4,
    accepted_tokens=3,
    saved_steps=5,
)


def finished(n_tokens: int = 6) -> Finished:
    return Finished(Answer("Hello.", "stop", Usage(70, n_tokens), TIMES))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"edge_engine_{name}", labels)


@contextmanager
def served(metrics: Metrics) -> Iterator[str]:
    port = free_port()
    server = serve(metrics, "127.0.0.1", port)
    assert server
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_is_measured_by_the_engines_timings() -> None:
    metrics = Metrics()
    metrics.ended(SEEN, finished())
    seconds = {
        "prepare": 0.01,
        "embed": 2.0,
        "queue": 0.5,
        "prefill": 1.5,
        "ttft": 4.01,
        "tpot": 0.2,
        "e2e": 5.0,
    }
    for name, expected in seconds.items():
        assert value(metrics, f"{name}_seconds_sum") == pytest.approx(expected)
        assert value(metrics, f"{name}_seconds_count") == 1
    assert value(metrics, "requests_total", outcome="finished", code="") == 1
    assert value(metrics, "tokens_total", kind="prompt") == 70
    assert value(metrics, "tokens_total", kind="answer") == 6
    assert value(metrics, "draft_tokens_total", kind="drafted") == 4
    assert value(metrics, "draft_tokens_total", kind="accepted") == 3
    assert value(metrics, "saved_steps_total") == 5


def test_absent_stages_are_not_measured_as_zero() -> None:
    metrics = Metrics()
    metrics.ended(TEXT, finished(n_tokens=1))
    assert value(metrics, "embed_seconds_count") == 0
    assert value(metrics, "tpot_seconds_count") == 0
    assert value(metrics, "e2e_seconds_count") == 1


@pytest.mark.parametrize(
    ("code", "outcome", "known"),
    [
        ("engine_error", "failed", "engine_error"),
        ("cancelled", "cancelled", "cancelled"),
        ("deadline_exceeded", "expired", "deadline_exceeded"),
        ("never heard of", "failed", "internal_error"),
    ],
)
def test_a_failure_is_counted_by_a_known_code(
    code: str, outcome: str, known: str
) -> None:
    metrics = Metrics()
    metrics.ended(TEXT, Failed(code, "No answer."))
    assert value(metrics, "requests_total", outcome=outcome, code=known) == 1
    assert value(metrics, "e2e_seconds_count") == 0


def test_the_engines_load_is_read_at_each_scrape() -> None:
    metrics = Metrics()
    go_on = threading.Event()
    faults = {"hello": lambda: go_on.wait(90)}  # it is busy meanwhile
    runtime = StubRuntime(answer=LONG_ANSWER[:200], n_cells=4000, faults=faults)
    with closing(Engine(runtime, StubTower())) as engine:
        metrics.watch(engine, 8000, None)
        assert value(metrics, "slots") == 4
        assert value(metrics, "cells") == 4000
        assert value(metrics, "busy_slots") == value(metrics, "reserved_cells") == 0
        ticket = engine.submit(TEXT, {})
        wait_for(lambda: value(metrics, "busy_slots"))
        needed = ticket.sequence.n_cells_needed
        assert value(metrics, "busy_slots") == 1
        assert value(metrics, "reserved_cells") == needed
        go_on.set()
        while not isinstance(event := ticket.next(60), Finished):
            assert event is not None
        wait_for(lambda: not value(metrics, "busy_slots"))
        assert value(metrics, "reserved_cells") == 0
        usage, times = event.answer.usage, event.answer.timings
        # the last token of an answer is never fed back; wrong guesses were computed too
        computed = usage.prompt_tokens + usage.completion_tokens - 1
        computed += times.drafted_tokens - times.accepted_tokens
        assert value(metrics, "batch_rows_total") == computed
        assert 0 < (value(metrics, "steps_total") or 0) < computed


def test_a_scrape_is_complete_before_the_model_is_loaded() -> None:
    metrics = Metrics()
    with served(metrics) as url, urllib.request.urlopen(url, timeout=60) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    names = {family.name for family in families}
    assert "process_resident_memory_bytes" in names
    assert "edge_engine_e2e_seconds" in names
    assert "edge_engine_slots" not in names


def test_a_worker_takes_the_port_when_the_one_before_it_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.metrics.AGAIN_S", 0.05)
    with served(Metrics()) as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        assert serve(Metrics(), "127.0.0.1", port) is None

    def answers() -> bool:
        with suppress(OSError), urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
        return False

    wait_for(answers)


def test_a_port_that_cannot_be_had_is_said_in_one_sentence() -> None:
    with pytest.raises(SetupError, match="EDGE_METRICS_PORT=9464 cannot"):
        serve(Metrics(), "192.0.2.1", 9464)

"""Metrics of the whole system agree with what its clients measure."""

from __future__ import annotations

import json
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge import errors
from edge.histogram_buckets import BUCKETS_S
from edge.jobs.cache_contents import KINDS
from tests.conftest import wait_for
from tests.stack.answer_cache import attempts
from tests.stack.conftest import LEAVES_S, Stack, own_port, rounds, running
from tests.test_monitoring import named_metrics

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

HOSTILE = 'x"} 1\nedge_requests_total{outcome="evil", code="' + "A" * 200
LABELS = {
    "outcome": {"finished", "failed", "cancelled", "expired", "refused"},
    "code": {"", *errors._BY_CODE},
    "result": {"hit", "miss", "off", "damaged", "away"},
    "kind": {"prompt", "reused", "picture", "answer", "drafted", "accepted"}
    | {"image", "image_memory", "image_stored", *KINDS},
    "cache": {"prefixes", "pictures"},
    "le": {"+Inf"},  # and numbers
}


class Watched:
    """A running stack and both of its `/metrics`."""

    def __init__(self, stack: Stack, worker_port: int) -> None:
        self.stack = stack
        self.http = stack.client()
        self._urls = {
            "ui": "/metrics",
            "worker": f"http://127.0.0.1:{worker_port}/metrics",
        }

    def families(self, part: str) -> list[Metric]:
        text = self.http.get(self._urls[part]).text
        return list(text_string_to_metric_families(text))

    def value(self, name: str, part: str = "ui", **labels: str) -> float:
        samples = [s for family in self.families(part) for s in family.samples]
        found = [s.value for s in samples if (s.name, s.labels) == (name, labels)]
        return found[0] if found else 0.0

    def rise(self, name: str, part: str = "ui", **labels: str) -> Callable[[], float]:
        """Returns the increase of a counter from now on."""
        before = self.value(name, part, **labels)
        return lambda: self.value(name, part, **labels) - before

    def ended(self, outcome: str, code: str, part: str = "ui") -> Callable[[], float]:
        name = "edge_requests_total" if part == "ui" else "edge_engine_requests_total"
        return self.rise(name, part, outcome=outcome, code=code)

    def ask(self, text: Any = "hi", **body: Any) -> httpx.Response:
        question = {"messages": [{"role": "user", "content": text}], "max_tokens": 5}
        return self.http.post("/v1/chat/completions", json=question | body)


@pytest.fixture(scope="module")
def watched(
    edge: str, babble: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """A stack whose model babbles: answers have exactly `max_tokens`."""
    port = own_port()
    settings = {"model": str(babble[0]), "mmproj": str(babble[1]), "slots": "2"}
    settings |= {"context_tokens": "24000", "metrics_port": str(port)}
    with running(edge, tmp_path_factory.mktemp("watched"), **settings) as stack:
        one = Watched(stack, port)
        yield one
        one.http.close()


def buckets(watched: Watched) -> dict[float, float]:
    """The cumulative buckets of the end-to-end time."""
    [family] = [f for f in watched.families("ui") if f.name == "edge_e2e_seconds"]
    named = [s for s in family.samples if s.name.endswith("_bucket")]
    return {float(sample.labels["le"]): sample.value for sample in named}


def steps_between(watched: Watched, n: int) -> int:
    """The most buckets between a percentile as its clients measure it and as the server
    counts it."""
    before, measured = buckets(watched), []
    for i in range(20):
        started = time.monotonic()
        reply = watched.ask(f"question {n} {i}", max_tokens=5 + 12 * i)
        measured.append(time.monotonic() - started)
        assert reply.headers["x-cache"] == "miss"
    after = buckets(watched)
    counts = {le: n - before[le] for le, n in after.items()}
    assert counts[math.inf] == len(measured)
    steps = []
    for percent in (50, 90):  # a pause of this process alone moves the slowest
        rank = math.ceil(percent / 100 * len(measured))
        server = min(le for le, n in counts.items() if n >= rank)
        client = sorted(measured)[rank - 1]
        print(f"P{percent}: {client:.2f} s, but at most {server} s")
        steps.append(bisect_left(BUCKETS_S, client) - bisect_left(BUCKETS_S, server))
    return max(map(abs, steps))


def test_server_and_client_agree_on_percentiles(watched: Watched) -> None:
    for steps in rounds(2):
        steps.append(steps_between(watched, len(steps)))
    assert min(steps) <= 1


def test_each_kind_of_outcome_is_counted(
    watched: Watched, data_url: Callable[..., str]
) -> None:
    finished, hits = (
        watched.ended("finished", ""),
        watched.rise("edge_answer_cache_total", result="hit"),
    )
    expected = {
        "invalid_json": watched.ended("refused", "invalid_json"),
        "invalid_request": watched.ended("refused", "invalid_request"),
        "unsupported": watched.ended("refused", "unsupported_parameter"),
        "image": watched.ended("refused", "invalid_image"),
        "model": watched.ended("refused", "model_not_found"),
        "length": watched.ended("failed", "context_length_exceeded"),
        "length, worker": watched.ended("failed", "context_length_exceeded", "worker"),
    }
    kind = {"content-type": "application/json"}
    watched.http.post("/v1/chat/completions", content=b"{", headers=kind)
    watched.ask(temperature=9)
    watched.ask(prompt_logprobs=1)
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    watched.ask([broken])
    watched.ask(model=HOSTILE)
    watched.ask("1" * 30_000)  # a token for each digit
    for n in attempts(watched.stack):
        picture = {"type": "image_url", "image_url": {"url": data_url("red", n)}}
        found = [watched.ask([picture]).headers["x-cache"] for _ in range(2)]
        if found == ["miss", "hit"]:
            break
    assert found == ["miss", "hit"]
    assert {name: rise() for name, rise in expected.items()} == dict.fromkeys(
        expected, 1
    )
    assert (finished(), hits()) == (2 * (n + 1), 1)


def seconds_until_counted(watched: Watched) -> float:
    """How long it takes until a client that leaves is counted on both sides."""
    left = watched.ended("cancelled", "cancelled")
    ended = watched.ended("cancelled", "cancelled", "worker")
    body = {"messages": [{"role": "user", "content": "long"}], "max_tokens": 20_000}
    with watched.http.stream(
        "POST", "/v1/chat/completions", json=body | {"stream": True}
    ) as reply:
        lines = reply.iter_lines()  # kept, because httpx hangs up without a reader
        next(lines)
        wait_for(lambda: watched.value("edge_engine_busy_slots", "worker"))
        wait_for(lambda: watched.value("edge_jobs_running") == 1)
    began = time.monotonic()
    wait_for(lambda: left() == 1 and ended() == 1)
    seconds = time.monotonic() - began
    wait_for(lambda: watched.value("edge_jobs_running") == 0)
    wait_for(lambda: watched.value("edge_engine_busy_slots", "worker") == 0)
    return seconds


def test_a_disconnected_client_is_counted_on_both_sides(watched: Watched) -> None:
    for waits_s in rounds(LEAVES_S):
        waits_s.append(seconds_until_counted(watched))
    assert min(waits_s) < LEAVES_S


def test_client_input_is_never_a_label(watched: Watched) -> None:
    watched.ask(model=HOSTILE)
    watched.ask([{"type": HOSTILE}])
    watched.http.post(f"/v1/{HOSTILE[:5]}", content=json.dumps(HOSTILE))
    for part in ("ui", "worker"):
        for family in watched.families(part):
            assert family.name.startswith(("edge_", "process_"))
            for sample in family.samples:
                for label, value in sample.labels.items():
                    known = value in LABELS[label]
                    assert known or (label == "le" and float(value) > 0)


def test_rules_and_panels_use_existing_metrics(watched: Watched) -> None:
    watched.ask("one answer")

    def missing() -> set[str]:
        families = watched.families("ui") + watched.families("worker")
        return named_metrics() - {s.name for one in families for s in one.samples}

    wait_for(lambda: not missing())  # a scrape does without a Redis that stands still


def test_the_fleet_is_reported(watched: Watched) -> None:
    told: dict[str, float] = {}

    def is_whole() -> bool:  # unless the worker or a Redis stands still
        families = watched.families("ui")
        told.update((s.name, s.value) for one in families for s in one.samples)
        names = ("edge_workers", "edge_slots", "edge_broker_up", "edge_cache_up")
        return [told.get(name) for name in names] == [1, 2, 1, 1]

    wait_for(is_whole)
    assert told["edge_cache_bytes"] > 0
    assert told["process_resident_memory_bytes"] > 50_000_000
    assert watched.value("edge_engine_cells", "worker") == 24_000
    assert watched.value("edge_engine_slots", "worker") == 2

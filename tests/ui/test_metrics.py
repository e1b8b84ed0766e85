"""The metrics of the web process, with Redis and without."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import fastapi
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from edge.errors import EdgeError, InvalidPicture, ModelNotFound, NoWorker, QueueFull
from edge.events import (
    Accepted,
    Embedded,
    Event,
    Failed,
    Finished,
    Queued,
    Retried,
    Started,
    Token,
)
from edge.jobs import keys
from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from edge.jobs.submission import Submission
from edge.request import Answer
from edge.settings import Settings
from edge.up.parts import free_port
from edge.usage import Usage
from tests.jobs.jobs_harness import caller
from tests.ui.api_harness import POOL, PictureQuestion, api_harness
from ui.body import Bodies, parse
from ui.client import Client
from ui.error_handlers import add_error_handlers
from ui.in_flight import InFlight
from ui.metrics import Metrics
from ui.openai.body import ChatBody
from ui.scrape import scrape_route

HOSTILE = 'x"} 1\nedge_requests_total{outcome="evil"'


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def ends(metrics: Metrics) -> dict[tuple[str, str], float]:
    """How many questions have ended, by outcome and code."""
    [family] = [f for f in metrics.registry.collect() if f.name == "edge_requests"]
    counted = {
        (sample.labels["outcome"], sample.labels["code"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    return {labels: n for labels, n in counted.items() if n}


def answered(n_tokens: int = 5) -> Finished:
    return Finished(Answer("Hello.", "stop", Usage(70, n_tokens)))


# --- one question ---------------------------------------------------------------


def test_each_stretch_of_a_question_is_measured(metrics: Metrics, clock: Clock) -> None:
    watch = metrics.question()
    steps: list[tuple[float, Event | None]] = [
        (0.5, Accepted(70)),
        (1.5, Queued(1, 2.5)),
        (1.0, Started(70)),
        (1.5, Embedded(64)),
        (4.0, Token("Hel")),
        (0.5, None),
        (0.3, Token("lo.")),
        (0.2, answered(5)),
    ]
    clock.now += 0.5
    watch.prepared()
    watch.admitted()
    for seconds, event in steps:
        clock.now += seconds
        watch.record_event(event)

    def total(name: str) -> float:
        assert value(metrics, f"edge_{name}_seconds_count") == 1
        return value(metrics, f"edge_{name}_seconds_sum")

    assert total("prepare") == pytest.approx(0.5)
    assert total("queue") == pytest.approx(3.0)
    assert total("ttft") == pytest.approx(9.0)
    assert total("tpot") == pytest.approx(1.0 / 4)
    assert total("e2e") == pytest.approx(10.0)
    assert ends(metrics) == {("finished", ""): 1}
    tokens = {"prompt": 70, "picture": 64, "answer": 5}
    for kind, n in tokens.items():
        assert value(metrics, "edge_tokens_total", kind=kind) == n


def test_an_answer_from_the_cache_was_quick(metrics: Metrics, clock: Clock) -> None:
    watch = metrics.question()
    clock.now += 0.01
    watch.record_event(answered())
    assert ends(metrics) == {("finished", ""): 1}
    assert value(metrics, "edge_e2e_seconds_bucket", le="0.04") == 1
    assert value(metrics, "edge_ttft_seconds_count") == 1
    assert value(metrics, "edge_queue_seconds_count") == 0


def test_an_answer_from_the_cache_was_not_computed(metrics: Metrics) -> None:
    metrics.question().record_event(answered())
    assert value(metrics, "edge_tpot_seconds_count") == 0
    assert value(metrics, "edge_tokens_total", kind="answer") == 0


def test_a_question_that_is_tried_again_ends_once(
    metrics: Metrics, clock: Clock
) -> None:
    watch = metrics.question()
    watch.admitted()
    steps = (Accepted(70), Started(70), Embedded(64), Token("He"), Retried(), Queued(1))
    for event in (*steps, Started(70), Embedded(64), Token("Hello."), answered(5)):
        clock.now += 1
        watch.record_event(event)
    assert ends(metrics) == {("finished", ""): 1}
    assert value(metrics, "edge_e2e_seconds_sum") == 10
    assert value(metrics, "edge_ttft_seconds_sum") == 4
    assert value(metrics, "edge_tokens_total", kind="picture") == 2 * 64


def test_a_question_that_is_tried_again_waited_once(
    metrics: Metrics, clock: Clock
) -> None:
    watch = metrics.question()
    watch.admitted()
    for event in (Started(70), Retried(), Started(70), answered()):
        clock.now += 1
        watch.record_event(event)
    assert value(metrics, "edge_queue_seconds_count") == 1


def test_one_token_has_no_time_between_tokens(metrics: Metrics) -> None:
    watch = metrics.question()
    watch.record_event(Started(70))
    watch.record_event(Token("Hello."))
    watch.record_event(answered(1))
    assert value(metrics, "edge_tpot_seconds_count") == 0
    assert value(metrics, "edge_e2e_seconds_count") == 1


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (Failed("engine_error", "It broke."), "failed"),
        (Failed("context_length_exceeded", "Too long."), "failed"),
        (Failed("cancelled", "Enough."), "cancelled"),
        (Failed("deadline_exceeded", "Too late."), "expired"),
    ],
)
def test_a_question_that_fails_is_counted_by_its_code(
    metrics: Metrics, event: Failed, outcome: str
) -> None:
    metrics.question().record_event(event)
    assert ends(metrics) == {(outcome, event.code): 1}
    assert value(metrics, "edge_e2e_seconds_count") == 0


def test_an_unknown_code_becomes_a_known_label(metrics: Metrics) -> None:
    metrics.question().record_event(Failed(HOSTILE, "from a wire"))
    assert ends(metrics) == {("failed", "internal_error"): 1}


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (InvalidPicture("No picture."), "refused", "invalid_image"),
        (QueueFull("Full."), "refused", "queue_full"),
        (NoWorker("None."), "refused", "no_worker"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
        (GeneratorExit(), "cancelled", "cancelled"),
        (ZeroDivisionError("a bug"), "failed", "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_refusal_is_counted_and_raised(
    metrics: Metrics, error: BaseException, outcome: str, code: str
) -> None:
    with pytest.raises(type(error)), metrics.question():
        raise error
    assert ends(metrics) == {(outcome, code): 1}


def test_a_question_ends_once(metrics: Metrics) -> None:
    watch = metrics.question()
    with watch:
        pass
    watch.record_event(answered())
    watch.cancelled()
    assert ends(metrics) == {("finished", ""): 1}


@pytest.mark.parametrize(
    ("told_s", "waited_s", "error"),
    [(10.0, 10.0, 0.0), (10.0, 8.0, 0.25), (5.0, 10.0, 0.5), (0.0, 0.2, 0.2)],
)
def test_the_first_start_estimate_is_compared_with_the_start(
    metrics: Metrics, clock: Clock, told_s: float, waited_s: float, error: float
) -> None:
    watch = metrics.question()
    clock.now += 1
    watch.record_event(Queued(2))  # without an estimate
    watch.record_event(Queued(2, told_s))
    clock.now += waited_s
    watch.record_event(Queued(1, 0.1))  # the first is the one that counts
    watch.record_event(Started(70))
    assert value(metrics, "edge_start_error_ratio_sum") == pytest.approx(error)
    assert value(metrics, "edge_start_error_ratio_count") == 1


def test_a_start_without_an_estimate_is_not_compared(metrics: Metrics) -> None:
    metrics.question().record_event(Started(70))
    assert value(metrics, "edge_start_error_ratio_count") == 0


# --- refusals over HTTP -----------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"messages": 1}', "invalid_request"),
        (b"[" * 150_000, "invalid_request"),
        (b"", "invalid_json"),
    ],
)
async def test_a_bad_body_is_a_refused_question(
    metrics: Metrics, body: bytes, code: str
) -> None:
    app = FastAPI()
    add_error_handlers(app, metrics)

    bodies = Bodies(metrics, InFlight())

    @app.post("/v1/chat/completions")
    async def chat(http: fastapi.Request) -> None:
        async with bodies.read(http, lambda data: parse(ChatBody, data)):
            raise AssertionError

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as http:
        kind = {"content-type": "application/json"}
        await http.post("/v1/chat/completions", content=body, headers=kind)
        await http.get("/nothing")  # no question at all
    [(outcome, counted)] = ends(metrics)
    assert (outcome, counted) == ("refused", code)


@pytest.mark.redis
async def test_metrics_are_only_read(broker_url: str) -> None:
    app = FastAPI()
    settings = Settings(broker_url=broker_url, cache_url=broker_url)
    app.include_router(scrape_route(Client(settings)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as http:
        reply = await http.post("/metrics")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


# --- the client, over a real Redis and a stub engine ------------------------------


@pytest.mark.redis
async def test_an_answer_is_counted_on_its_way_and_its_repeat_as_a_hit(
    broker_url: str,
) -> None:
    async with api_harness(broker_url) as one:
        metrics = one.client.metrics
        await one.ask()
        assert len(await one.ask()) == 1
        await one.ask("something else")
    assert ends(metrics) == {("finished", ""): 3}
    results = {"hit": 1, "miss": 2, "off": 0}
    for result, n in results.items():
        assert value(metrics, "edge_answer_cache_total", result=result) == n
    assert value(metrics, "edge_prepare_seconds_count") == 2
    assert value(metrics, "edge_queue_seconds_count") == 2
    assert value(metrics, "edge_e2e_seconds_count") == 3
    assert value(metrics, "edge_tokens_total", kind="picture") == 2 * 4


@pytest.mark.redis
async def test_a_cache_that_is_off_is_not_a_miss(broker_url: str) -> None:
    async with api_harness(broker_url, answer_cache=False) as one:
        await one.ask()
        metrics = one.client.metrics
    assert value(metrics, "edge_answer_cache_total", result="off") == 1
    assert value(metrics, "edge_answer_cache_total", result="miss") == 0


@pytest.mark.redis
async def test_refusals_and_departures_are_counted(broker_url: str) -> None:
    async with api_harness(broker_url, backlog=0) as one:
        metrics = one.client.metrics
        with pytest.raises(ModelNotFound):
            await one.ask(model=HOSTILE)
        with metrics.question() as watch:
            submission = Submission(caller("other"))
            meter = one.client.meter(submission)
            question = PictureQuestion("hi")
            asked = await one.client.ask(submission, question, meter, watch)
        await anext(asked.events)
        with pytest.raises(QueueFull):
            await one.ask()
        await asked.events.aclose()
    assert ends(metrics) == {
        ("refused", "model_not_found"): 1,
        ("refused", "queue_full"): 1,
        ("cancelled", "cancelled"): 1,
    }


# --- a scrape ---------------------------------------------------------------------


async def scrape(client: Client) -> dict[str, float]:
    """All samples without labels, as `/metrics` tells them."""
    app = FastAPI()
    app.include_router(scrape_route(client))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as http:
        reply = await http.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(reply.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return {s.name: s.value for f in families for s in f.samples if not s.labels}


@pytest.fixture
def patient_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis on a busy machine is not away."""
    monkeypatch.setattr("ui.scrape.PATIENCE_S", 60.0)


@pytest.mark.redis
@pytest.mark.usefixtures("patient_scrape")
async def test_a_scrape_shows_fleet_and_queue(broker_url: str) -> None:
    async with api_harness(broker_url) as one:
        one.beat("here-2", n_slots=3)
        asleep = WorkerInfo("here-3", "other", "g", "stub", 4, loading_s=9.0)
        broken = replace(asleep, name="here-4", model="broken", cannot_load=True)
        for each in (asleep, broken):
            Heart(one.sync, each).beat()
            one.sync.zincrby(FLEET, 600, each.name)
        asking = [one.asking(f"question {n}", key=f"{n}") for n in range(3)]
        await one.until(lambda: len(one.waiting) == 3)
        one.jobs.claim()
        one.sync.zincrby(keys.LIVE(POOL), -40, one.waiting[0])  # 40 s ago
        seen = await scrape(one.client)
        for task in asking:
            task.cancel()
    assert (seen["edge_broker_up"], seen["edge_cache_up"]) == (1, 1)
    assert (seen["edge_workers"], seen["edge_slots"]) == (2, 4)
    assert seen["edge_models_asleep"] == 1  # it computes nothing, which is right
    assert (seen["edge_jobs_running"], seen["edge_jobs_waiting"]) == (1, 2)
    assert 40 <= seen["edge_oldest_waiting_seconds"] < 640
    assert seen["edge_cache_bytes"] > 100_000
    assert seen["process_resident_memory_bytes"] > 1_000_000


@pytest.mark.redis
@pytest.mark.usefixtures("patient_scrape")
async def test_an_empty_queue_has_no_age(broker_url: str) -> None:
    async with api_harness(broker_url) as one:
        assert (await scrape(one.client))["edge_oldest_waiting_seconds"] == 0


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and answers nothing."""
    while await reader.read(1024):
        pass
    writer.close()


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_scrape_without_redis_shows_local_metrics(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for as long as a command may take."""
    monkeypatch.setattr("edge.redis_clients.TIMEOUT_S", 600)
    port = free_port()
    server = await asyncio.start_server(swallow, "127.0.0.1", port)
    if how == "gone":
        server.close()
    url = f"redis://127.0.0.1:{port}/0"
    client = Client(Settings(broker_url=url, cache_url=url))
    client.metrics.refused(EdgeError("before"))
    async with asyncio.timeout(60):
        seen = await scrape(client)
    await client.close()
    server.close()
    assert (seen["edge_broker_up"], seen["edge_cache_up"]) == (0, 0)
    assert seen["edge_e2e_seconds_count"] == 0
    assert not {"edge_workers", "edge_jobs_waiting", "edge_cache_bytes"} & seen.keys()
    assert ends(client.metrics) == {("refused", "internal_error"): 1}

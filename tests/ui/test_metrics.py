"""What the web process counts, and what it says while Redis is there, or is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from edge.engine.engine import Engine
from edge.errors import EdgeError, InvalidPicture, ModelNotFound, NoWorker, QueueFull
from edge.events import Embedded, Event, Failed, Finished, Queued, Started, Token
from edge.images import Picture
from edge.jobs import fleet, record
from edge.jobs.channel import RedisPublisher
from edge.jobs.worker_side import WorkerJobs
from edge.parts import free_port
from edge.redis_clients import sync_client
from edge.request import Answer, Message, Request, Usage
from edge.runtime.stub import StubRuntime
from edge.settings import Settings
from edge.vision.stub import StubTower
from ui.client import Client
from ui.metrics import Metrics
from ui.refusals import add_refusals
from ui.scrape import scrape_route
from worker.metrics import Metrics as WorkerMetrics
from worker.relay import Relay

PICTURE = Picture(64, 64, bytes(64 * 64 * 3))
HOSTILE = 'x"} 1\nedge_requests_total{outcome="evil"'


class Clock:
    """A clock that stands still until it is told."""

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
        (2.0, Queued(1)),
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
        watch.saw(event)

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


def test_an_answer_from_the_cache_was_quick_and_not_computed(
    metrics: Metrics, clock: Clock
) -> None:
    watch = metrics.question()
    clock.now += 0.01
    watch.cached()
    assert ends(metrics) == {("finished", ""): 1}
    assert value(metrics, "edge_e2e_seconds_bucket", le="0.04") == 1
    assert value(metrics, "edge_ttft_seconds_count") == 1
    assert value(metrics, "edge_queue_seconds_count") == 0
    assert value(metrics, "edge_tpot_seconds_count") == 0
    assert value(metrics, "edge_tokens_total", kind="answer") == 0


def test_one_token_has_no_time_between_tokens(metrics: Metrics) -> None:
    metrics.question().saw(answered(1))
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
    metrics.question().saw(event)
    assert ends(metrics) == {(outcome, event.code): 1}
    assert value(metrics, "edge_e2e_seconds_count") == 0


def test_a_code_that_nobody_knows_becomes_one_that_we_know(metrics: Metrics) -> None:
    metrics.question().saw(Failed(HOSTILE, "from a wire"))
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
def test_what_keeps_a_question_out_is_counted_and_goes_on(
    metrics: Metrics, error: BaseException, outcome: str, code: str
) -> None:
    with pytest.raises(type(error)), metrics.question():
        raise error
    assert ends(metrics) == {(outcome, code): 1}


def test_a_question_ends_once(metrics: Metrics) -> None:
    watch = metrics.question()
    with watch:
        pass
    watch.saw(answered())
    watch.cancelled()
    assert ends(metrics) == {("finished", ""): 1}


# --- refusals over HTTP -----------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"messages": 1}', "invalid_request"),
        (b"[" * 150_000, "invalid_json"),
    ],
)
async def test_a_bad_body_is_a_refused_question(
    metrics: Metrics, body: bytes, code: str
) -> None:
    app = FastAPI()
    add_refusals(app, metrics)

    @app.post("/v1/chat/completions")
    async def chat(body: dict[str, list[int]]) -> None:
        raise AssertionError

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as http:
        kind = {"content-type": "application/json"}
        await http.post("/v1/chat/completions", content=body, headers=kind)
        await http.get("/nothing")  # no question at all
    [(outcome, counted)] = ends(metrics)
    assert outcome == "refused"
    assert counted in (code, "invalid_request")


# --- the client, over a real Redis and a stub engine ------------------------------


class Bench:
    """A client, and a worker that runs only when it is told."""

    def __init__(self, url: str, **settings: object) -> None:
        self.client = Client(
            Settings(broker_url=url, cache_url=url, backlog=0, **settings)
        )
        self.sync = sync_client(url)
        self.engine = Engine(StubRuntime(), StubTower())
        channel = RedisPublisher(self.sync)
        jobs = WorkerJobs(self.sync, channel)
        self.relay = Relay(self.engine, jobs, channel, WorkerMetrics())
        self.beat("here-1", n_slots=1)

    def beat(self, name: str, n_slots: int) -> None:
        """As a worker does; but this heart beats once, so that must last."""
        fleet.beat(self.sync, fleet.WorkerInfo(name, "stub", "f", "stub", n_slots))
        self.sync.expire(f"edge:worker:{name}", 600)

    async def ask(self, text: str = "hello", model: str = "") -> list[Event]:
        question = Message("user", (PICTURE.ref, text))
        with self.client.metrics.question() as watch:
            asked = await self.client.ask(
                Request((question,), model=model), [PICTURE], watch
            )
        if not asked.is_cached:
            [job_id] = self.sync.zrange(record.WAITING, 0, -1)
            await asyncio.to_thread(self.relay.answer, job_id.decode())
        return [event async for event in asked.events if event]


@asynccontextmanager
async def bench(url: str, **settings: object) -> AsyncIterator[Bench]:
    one = Bench(url, **settings)
    with closing(one.engine), closing(one.sync):
        try:
            yield one
        finally:
            await one.client.close()


@pytest.mark.redis
async def test_an_answer_is_counted_on_its_way_and_its_repeat_as_a_hit(
    broker_url: str,
) -> None:
    async with bench(broker_url) as one:
        metrics = one.client.metrics
        await one.ask()
        assert len(await one.ask()) == 1
        await one.ask("something else")
    assert ends(metrics) == {("finished", ""): 3}
    results = {"hit": 1, "miss": 2, "off": 0}
    for result, n in results.items():
        assert value(metrics, "edge_answer_cache_total", result=result) == n
    assert value(metrics, "edge_prepare_seconds_count") == 3
    assert value(metrics, "edge_queue_seconds_count") == 2
    assert value(metrics, "edge_tpot_seconds_count") == 2
    assert value(metrics, "edge_e2e_seconds_count") == 3
    assert value(metrics, "edge_tokens_total", kind="picture") == 2 * 4


@pytest.mark.redis
async def test_a_cache_that_is_off_is_not_a_miss(broker_url: str) -> None:
    async with bench(broker_url, answer_cache=False) as one:
        await one.ask()
        metrics = one.client.metrics
    assert value(metrics, "edge_answer_cache_total", result="off") == 1
    assert value(metrics, "edge_answer_cache_total", result="miss") == 0


@pytest.mark.redis
async def test_refusals_and_departures_are_counted(broker_url: str) -> None:
    async with bench(broker_url) as one:
        metrics = one.client.metrics
        with pytest.raises(ModelNotFound):
            await one.ask(model=HOSTILE)

        async def accept() -> None:
            request = Request((Message("user", ("hi",)),))
            with metrics.question() as watch:
                asked = await one.client.ask(request, [], watch)
            await anext(asked.events)
            with pytest.raises(QueueFull):
                await one.ask()
            await asked.events.aclose()

        await accept()
    assert ends(metrics) == {
        ("refused", "model_not_found"): 1,
        ("refused", "queue_full"): 1,
        ("cancelled", "cancelled"): 1,
    }


# --- a scrape ---------------------------------------------------------------------


async def scrape(client: Client) -> dict[str, float]:
    """All samples without labels, as `/metrics` tells them, which takes under 2 s."""
    app = FastAPI()
    app.include_router(scrape_route(client))
    transport = httpx.ASGITransport(app)
    started = time.monotonic()
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as http:
        reply = await http.get("/metrics")
    assert time.monotonic() - started < 2
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(reply.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return {s.name: s.value for f in families for s in f.samples if not s.labels}


@pytest.mark.redis
async def test_a_scrape_tells_of_fleet_and_queue(broker_url: str) -> None:
    async with bench(broker_url) as one:
        one.beat("here-2", n_slots=3)
        request = Request((Message("user", ("hi",)),))
        jobs = one.client._jobs
        ids = [await jobs.admit(request, limit=9, deadline_s=60) for _ in range(3)]
        one.relay._jobs.claim(ids[0])
        one.sync.zincrby(record.WAITING, -40, ids[1])  # admitted 40 s ago
        seen = await scrape(one.client)
    assert (seen["edge_broker_up"], seen["edge_cache_up"]) == (1, 1)
    assert (seen["edge_workers"], seen["edge_slots"]) == (2, 4)
    assert (seen["edge_jobs_running"], seen["edge_jobs_waiting"]) == (1, 2)
    assert 40 <= seen["edge_oldest_waiting_seconds"] < 45
    assert seen["edge_cache_bytes"] > 100_000
    assert seen["process_resident_memory_bytes"] > 1_000_000


@pytest.mark.redis
async def test_an_empty_queue_has_no_age(broker_url: str) -> None:
    async with bench(broker_url) as one:
        assert (await scrape(one.client))["edge_oldest_waiting_seconds"] == 0


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and answers nothing."""
    while await reader.read(1024):
        pass
    writer.close()


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_without_redis_a_scrape_tells_what_is_known_here(how: str) -> None:
    port = free_port()
    server = await asyncio.start_server(swallow, "127.0.0.1", port)
    if how == "gone":
        server.close()
    url = f"redis://127.0.0.1:{port}/0"
    client = Client(Settings(broker_url=url, cache_url=url))
    client.metrics.refused(EdgeError("before"))
    seen = await scrape(client)
    await client.close()
    server.close()
    assert (seen["edge_broker_up"], seen["edge_cache_up"]) == (0, 0)
    assert seen["edge_e2e_seconds_count"] == 0
    assert not {"edge_workers", "edge_jobs_waiting", "edge_cache_bytes"} & seen.keys()
    assert ends(client.metrics) == {("refused", "internal_error"): 1}

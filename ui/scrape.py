"""`GET /metrics`: the metrics of this process, and fleet and queue from Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from edge.errors import Unavailable
from edge.jobs.cache_contents import Contents, Kind
from edge.jobs.demand import Demand
from edge.jobs.fleet import WorkerInfo
from edge.redis_clients import UNREACHABLE
from ui.client import Client

T = TypeVar("T")

COUNT_S = 0.1  # about 10,000 entries of the cache; of more an estimate is made
PATIENCE_S = 1.0  # the whole answer is due within 2 s even when Redis hangs


@dataclass(frozen=True, eq=False)
class RedisState(Collector):
    """What Redis answered within the patience of one scrape; None: nothing."""

    workers: list[WorkerInfo] | None
    demand: Demand | None
    cache_bytes: int | None
    cached: dict[Kind, Contents] | None

    def collect(self) -> Iterator[Metric]:
        """An unknown value has no gauge: 0 would be wrong."""
        broker_up, cache_up = self.demand is not None, self.cache_bytes is not None
        yield _gauge("broker_up", "Whether the broker answers.", broker_up)
        yield _gauge("cache_up", "Whether the cache server answers.", cache_up)
        if self.workers is not None:
            live = [one for one in self.workers if one.loading_s is None]
            away = [one for one in self.workers if one.loading_s is not None]
            asleep = sum(not one.cannot_load for one in away)
            slots = sum(worker.n_slots for worker in live)
            yield _gauge("workers", "Live workers.", len(live))
            yield _gauge("slots", "Questions they can compute at once.", slots)
            about = (
                "Models that a question loads, or has begun to load; not those that "
                "failed to load."
            )
            yield _gauge("models_asleep", about, asleep)
        if (now := self.demand) is not None:
            yield _gauge("jobs_running", "Questions being computed.", now.n_running)
            yield _gauge("jobs_waiting", "Questions in the backlog.", now.n_waiting)
            about = "How long the first of the backlog has waited."
            yield _gauge("oldest_waiting_seconds", about, now.oldest_waiting_s)
        if self.cache_bytes is not None:
            yield _gauge("cache_bytes", "Memory of the cache.", self.cache_bytes)
        if self.cached is not None:
            yield from _contents(self.cached)


def scrape_route(client: Client) -> APIRouter:
    """The route over `client`."""
    router = APIRouter()

    @router.get("/metrics")
    async def metrics() -> Response:
        state = RedisState(
            *await asyncio.gather(
                _in_time(client.workers()),
                _in_time(client.demand()),
                _in_time(client.cache_bytes()),
                _in_time(client.cached(COUNT_S)),
            )
        )
        gauges = CollectorRegistry()  # for this scrape alone: nothing in it grows old
        gauges.register(state)
        text = generate_latest(client.metrics.registry) + generate_latest(gauges)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router


async def _in_time(answer: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await answer
    except (*UNREACHABLE, Unavailable):  # TimeoutError is among them
        return None


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edge_{name}", about, value)


def _contents(cached: dict[Kind, Contents]) -> Iterator[Metric]:
    entries = GaugeMetricFamily(
        "edge_cache_entries", "Entries in the cache server.", labels=["kind"]
    )
    n_bytes = GaugeMetricFamily(
        "edge_cache_entry_bytes", "Its memory for them.", labels=["kind"]
    )
    for kind, contents in cached.items():
        entries.add_metric([kind], contents.n_entries)
        n_bytes.add_metric([kind], contents.n_bytes)
    yield from (entries, n_bytes)

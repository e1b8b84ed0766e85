"""`GET /v1/status`: what the server does now, and how fast it is.

Of other tenants it tells counts and the common pace only, which each queue position
tells too.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request

from edge import __version__
from edge.jobs.fleet import WorkerInfo
from edge.jobs.position import Outlook
from edge.keys import Key
from edge.redis_clients import UNREACHABLE
from ui.admission import may_ask
from ui.bench_curve import read_curve
from ui.client import Client
from ui.door import is_admin
from ui.request_caller import caller_of, limits_of
from ui.subscriptions import broker_away

FRESH_S: Final = 1.0  # many open pages ask Redis once in this time


def status_route(client: Client) -> APIRouter:
    """The route over `client`."""
    router = APIRouter()
    load = _Load(client)
    bench = _Bench(client.settings.data_dir / "bench" / "latest.json")

    @router.get("/v1/status")
    async def status(http: Request) -> dict[str, Any]:
        key: Key | None = http.state.key
        sees_all = is_admin(key) or not client.keys.look()
        workers, outlooks, n_waiting = await load.read()
        allowed = [w for w in workers if may_ask(w, limits_of(http))]
        tenant = None if sees_all else caller_of(http).tenant
        return {
            "object": "status",
            "version": __version__,
            "key": key.name if key else None,
            "slots": sum(worker.n_slots for worker in workers),
            "running": sum(one.n_running for one in outlooks.values()),
            "waiting": n_waiting,
            "backlog": client.settings.backlog,
            "idle_unload_s": client.settings.idle_unload_s,
            "models": _models(allowed, outlooks),
            "latency": client.metrics.recent.by_stage(tenant),
            "caches": client.metrics.from_caches,
            "bench": await bench.read(),
        }

    return router


def _models(
    workers: list[WorkerInfo], outlooks: dict[str, Outlook]
) -> list[dict[str, Any]]:
    """One entry for each pool of equal workers."""
    pools: dict[str, list[WorkerInfo]] = {}
    for worker in workers:
        pools.setdefault(worker.pool, []).append(worker)
    return [
        {
            "id": first.model,
            "vision": first.vision,
            "runtime": first.runtime,
            "workers": 1 + len(others),
            "slots": sum(worker.n_slots for worker in (first, *others)),
            "starts_in_s": outlooks[pool].starts_in_s,
            "pace": vars(outlooks[pool].pace),
        }
        for pool, (first, *others) in pools.items()
    ]


class _Load:
    """Workers, the outlook of each of their pools, and how many jobs wait, also for
    workers that are gone; read once for all who ask together."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._found: tuple[list[WorkerInfo], dict[str, Outlook], int] = ([], {}, 0)

    async def read(self) -> tuple[list[WorkerInfo], dict[str, Outlook], int]:
        """Raises Unavailable when the broker is away."""
        async with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                workers = await self._client.workers()
                pools = {worker.pool for worker in workers}
                try:
                    found = [await self._client.outlook(pool) for pool in pools]
                    demand = await self._client.demand()
                except UNREACHABLE as error:
                    raise broker_away(error) from error
                outlooks = dict(zip(pools, found, strict=True))
                self._found = workers, outlooks, demand.n_waiting
                self._read_at = time.monotonic()
            return self._found


class _Bench:
    """The curve in a file, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed_at: float | None = None
        self._curve: dict[str, Any] | None = None

    async def read(self) -> dict[str, Any] | None:
        try:
            changed_at = self._path.stat().st_mtime
        except OSError:
            return None
        if changed_at != self._changed_at:
            self._curve = await asyncio.to_thread(read_curve, self._path)
            self._changed_at = changed_at
        return self._curve

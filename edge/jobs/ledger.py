"""What each tenant has used, counted in the broker: quotas of a minute and a day, and
the sums of each day that `edge keys usage` prints."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import redis.asyncio

from edge.errors import RateLimited
from edge.jobs import keys
from edge.jobs.scripts import Scripts, named
from edge.limits import WINDOWS_S, Quota

DAY_S = 86_400


@dataclass(frozen=True)
class Charge:
    """What was charged, `at` a time in seconds since 1970. Of the tightest window: its
    limit, what is left, and the seconds until the next window. Nothing was charged if
    it is not granted."""

    counted: str
    is_granted: bool
    at: float
    limit: int
    left: int
    resets_s: int


@dataclass(frozen=True)
class Usage:
    """What a tenant used of a model on one UTC day, written as 2026-11-28.

    `requests` are all that were queued or answered, and have ended, `cached` those with
    an answer from the cache or of another job, `failed` those without one; the counting
    of tokens is neither. Tokens are those of computed answers; among those of prompts,
    `cached_tokens` were known from an earlier question, and of pictures
    `memory_image_tokens` and `stored_image_tokens` were not encoded again.
    """

    day: str
    tenant: str
    model: str
    requests: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    image_tokens: int = 0
    answer_tokens: int = 0
    cached_tokens: int = 0
    memory_image_tokens: int = 0
    stored_image_tokens: int = 0


COUNTS = [field.name for field in fields(Usage)][3:]


class Ledger:
    """The web process's side. What a job used is counted by the script that ends it."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._broker = broker
        self._scripts = Scripts(broker)

    async def charge(
        self,
        tenant: str,
        quotas: Sequence[Quota],
        counted: str,
        n: int,
        job_id: str | None = None,
    ) -> Charge | None:
        """Charges `n` before they are used, unless less is left; None when no quota
        limits them. Those of a waiting job are charged once, and come back if it ends
        before a worker begins it."""
        windows = [
            {"window_s": WINDOWS_S[window], "limit": most}
            for what, window, most in quotas
            if what == counted
        ]
        if not windows:
            return None
        reply = named(
            await self._scripts(
                "charge",
                tenant=tenant,
                counted=counted,
                n=n,
                windows=windows,
                job_id=job_id,
            )
        )
        return Charge(
            counted=counted,
            is_granted=reply["is_granted"] == "1",
            at=float(reply["at"]),
            limit=int(reply["limit"]),
            left=int(reply["left"]),
            resets_s=int(reply["resets_s"]),
        )

    async def refund(self, tenant: str, charge: Charge, n: int) -> None:
        """Takes back a charge of `n` that was not used."""
        await self._scripts(
            "refund", tenant=tenant, counted=charge.counted, n=n, at=charge.at
        )

    async def known(self, tenant: str, model: str) -> None:
        """Counts an answer from the cache, for which there was no job."""
        await self._scripts("known", tenant=tenant, model=model)

    async def usage(self, n_days: int, tenant: str | None = None) -> list[Usage]:
        """Usage of the last days, today's first; of one tenant or of all."""
        today = int(time.time() // DAY_S)
        found: list[Usage] = []
        for day in range(today, today - n_days, -1):
            stored: Any = await self._broker.hgetall(keys.USAGE(day))
            found += rows(day, stored)
        return [row for row in found if tenant in (None, row.tenant)]


def rows(day: int, stored: dict[bytes, bytes]) -> Iterator[Usage]:
    """The rows of one day, by tenant and model."""
    sums: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, n in stored.items():
        tenant, what, model = name.decode().split(" ", 2)
        sums[tenant, model][what] = int(n)
    date = time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))
    for (tenant, model), counts in sorted(sums.items()):
        known = {what: n for what, n in counts.items() if what in COUNTS}
        yield Usage(date, tenant, model, **known)


def refusal(charge: Charge, n: int) -> RateLimited:
    """The error for a charge of `n` that was not granted."""
    words = charge.counted.replace("-", " ")
    if n > charge.limit:
        never = RateLimited(
            f"This needs up to {n:,} {words}, and your key may use {charge.limit:,} in "
            "all. Ask for a shorter answer or send a smaller picture."
        )
        never.is_final = True
        return never
    wait = f"{charge.resets_s} seconds"
    if charge.resets_s > 5400:
        wait = f"{math.ceil(charge.resets_s / 3600)} hours"
    return RateLimited(
        f"Your key may use {charge.limit:,} {words} in this window; {charge.left:,} "
        f"are left and this needs up to {n:,}. Try again in {wait}.",
        retry_after_s=charge.resets_s,
    )

"""The history check: many questions of all kinds while everything is killed in turn.

As Jepsen judges a database: by the history of its clients. Every question has one
outcome, and its job's record says the same as its client.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter

import pytest

from edge.events import Failed, Finished, from_json
from edge.jobs import keys
from tests.faults.asking import Outcome, answered, ask, client_of, until
from tests.faults.conftest import Start, ready
from tests.faults.service import Service

pytestmark = [pytest.mark.redis, pytest.mark.nginx, pytest.mark.faults]

N_CLIENTS = 10
REFUSED_S = 60  # by all that it asks, one after the other
# What a client may hear that is neither an answer nor its own fault.
HONEST = {
    "queue_full",
    "client_limit",
    "rate_limit_exceeded",
    "no_worker",
    "worker_lost",
    "service_unavailable",
    "deadline_exceeded",
    "request_quarantined",
}


class Client:
    """Asks what it draws, one question after the other."""

    def __init__(self, service: Service, name: str, draw: random.Random) -> None:
        self._service = service
        self._name = name
        self._draw = draw
        self._http = client_of(name)
        self.outcomes: list[Outcome] = []

    async def ask(self, n_questions: int) -> None:
        refused_since = None
        while n_questions:
            self.outcomes.append(one := await self._one())
            if one.status not in (429, 503):
                n_questions, refused_since = n_questions - 1, None
                continue
            # one that is refused does not count: a worker may take long to start
            refused_since = refused_since or time.monotonic()
            assert time.monotonic() - refused_since < REFUSED_S, one
            await asyncio.sleep(0.3)
        await self._http.aclose()

    async def _one(self) -> Outcome:
        draw, n = self._draw, len(self.outcomes)
        word = "[nan]" if draw.random() < 0.02 else "good"
        name = {"idempotency-key": f"{self._name} {n}"} if draw.random() < 0.1 else {}
        return await ask(
            self._service.url,
            f"{self._name} {n} {word}",
            draw.randint(3, 60),
            stream=draw.random() < 0.5,
            headers=name,
            hang_up_s=draw.random() if draw.random() < 0.05 else None,
            client=self._http,
            service_tier="flex" if draw.random() < 0.2 else "auto",
        )


async def break_things(service: Service, draw: random.Random, n_kills: int) -> None:
    """The worker is killed `n_kills` times, the broker once, in between."""
    for n in range(n_kills):
        await asyncio.sleep(4 + 4 * draw.random())
        service.send("worker0", signal.SIGKILL)
        await asyncio.sleep(6)
        if n == 0:
            service.broker.kill()
            await asyncio.sleep(draw.random())
            service.broker.start()


def judge(service: Service, outcomes: list[Outcome]) -> Counter[str]:
    """Counts the ends, and fails when the history is not allowed."""
    client, ends = service.broker.client, Counter[str]()
    for outcome in outcomes:
        if outcome.has_hung_up:
            ends["hung up"] += 1
            continue
        end = outcome.end  # exactly one
        ends[end] += 1
        assert end in HONEST | {"length", "engine_error"}, outcome
        if end == "length":
            assert outcome.is_right, outcome
        stored = client.hget(keys.JOB(outcome.job_id), "outcome")
        if not stored or end == "service_unavailable":
            continue  # refused, or ended while the broker was away
        event = from_json(stored)
        recorded = "length" if isinstance(event, Finished) else event.code
        assert recorded == end, (outcome, event)
    for key in service.broker.find(keys.JOB):
        job_id = key.rpartition(":")[2]
        lines = [
            fields[b"event"]
            for stream in client.keys(keys.EVENTS(job_id, "*"))
            for _, fields in client.xrange(stream)
        ]
        closing = [e for e in map(from_json, lines) if isinstance(e, Finished | Failed)]
        assert len(closing) <= 1, closing
    return ends


async def history(start: Start, seed: int, n_questions: int, n_kills: int) -> None:
    draw = random.Random(seed)
    with start(with_nginx=True, deadline_s="60") as service:
        clients = [
            Client(service, f"client{n}", random.Random(f"{seed} {n}"))
            for n in range(N_CLIENTS)
        ]
        breaking = asyncio.create_task(break_things(service, draw, n_kills))
        each = n_questions // N_CLIENTS
        await asyncio.gather(*(client.ask(each) for client in clients))
        await breaking
        await until(
            lambda: service.n_live() == 0, 90
        )  # at their deadline at the latest
        outcomes = [one for client in clients for one in client.outcomes]
        ends = judge(service, outcomes)
        print(f"seed {seed}: {len(outcomes)} questions, {dict(ends)}")
        assert len(outcomes) >= n_questions
        assert ends["length"] > n_questions / 2
        ready(service)
        assert (await answered(service.url, "after")).is_right


async def test_a_short_history(start: Start) -> None:
    await history(start, seed=1, n_questions=60, n_kills=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
async def test_a_long_history(start: Start, seed: int) -> None:
    """P1: 500 questions, three SIGKILLs, one restart of the broker, 5 % aborts."""
    await history(start, seed, n_questions=500, n_kills=3)

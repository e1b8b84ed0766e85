"""One address that sends many large pictures cannot fill the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from edge.jobs.fleet import CAPABILITIES
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part, png

pytestmark = pytest.mark.redis

N = 10  # questions: what one address may have with four slots and 16 places


@pytest.fixture
def small(web: ApiHarness) -> Iterator[ApiHarness]:
    """Its broker has 16 MiB; without a bound, the questions below fill 18 MiB."""
    web.beat("here-1", n_slots=4, capabilities=CAPABILITIES)
    web.sync.config_set("maxmemory", 16 << 20)
    yield web
    web.sync.config_set("maxmemory", 0)


async def rerank(web: ApiHarness, address: str, key: str, shade: int) -> httpx.Response:
    """Asks about three pictures, which are 2.25 MiB as pixels."""
    colours = (f"#{shade:02x}{i:02x}00" for i in range(3))
    documents = [part(png(colour, 512), detail="high") for colour in colours]
    body = {"query": "which?", "documents": [[one] for one in documents]}
    headers = {"authorization": f"Bearer {key}"}
    http = web.at(address)
    return await http.post("/v1/rerank", json=body, headers=headers)


async def test_a_client_that_fills_the_broker_is_refused_and_others_are_answered(
    small: ApiHarness,
) -> None:
    """Without keys a client has as many names as it wants, and one address."""
    flood = [
        asyncio.create_task(rerank(small, "10.0.0.1", f"key {n}", n)) for n in range(N)
    ]
    ends = asyncio.as_completed(flood)
    replies = [await next(ends) for _ in range(N - 1)]  # one waits for its answer
    assert {code_of(reply) for reply in replies} == {(429, "client_limit")}
    assert all("4 MiB" in reply.text for reply in replies)
    assert all("retry-after" in reply.headers for reply in replies)
    other = asyncio.create_task(rerank(small, "10.0.0.2", "mine", 99))
    async with small.working():
        assert (await other).status_code == 200
        assert (await next(ends)).status_code == 200
        again = await rerank(small, "10.0.0.1", "key", 100)
    assert again.status_code == 200  # as soon as there is room

"""How much is stored, and what happens without the cache server."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from edge.errors import NotFound
from edge.events import Failed
from edge.jobs import cache_keys
from edge.up.parts import free_port
from tests.jobs.jobs_harness import caller
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from ui.responses import draft, store
from ui.responses.reply import Response

pytestmark = pytest.mark.redis

ME = caller("me")


def response(n: int) -> Response:
    return Response(f"{n:032}", 1.0, "tiny", False, {"background": False})


async def test_the_oldest_make_room(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 1000)
    other = caller("other")
    await web.client.responses.put(response(9), other, "[]")
    for n in range(5):
        await web.client.responses.put(response(n), ME, "x" * 300)
    for n in range(2):
        with pytest.raises(NotFound):
            await web.client.responses.get(response(n).id, ME)
    for n in range(2, 5):
        found, outcome = await web.client.responses.get(response(n).id, ME)
        assert (found, outcome) == (response(n), None)
    await web.client.responses.get(response(9).id, other)
    assert web.sync.zcard(cache_keys.RESPONSES(ME.culprit)) == 3
    assert all(web.sync.ttl(key) > 0 for key in web.sync.keys("edge:response*"))


async def test_another_name_at_the_same_address_has_no_room_of_its_own(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys every request may come with another Authorization."""
    monkeypatch.setattr(store, "MOST_BYTES", 1000)
    other = caller("other")
    await web.client.responses.put(response(9), other, "[]")
    for n in range(5):
        name = caller(f"name-{n}", address="10.0.0.1")
        await web.client.responses.put(response(n), name, "x" * 300)
    kept = {key.decode() for key in web.sync.keys("edge:response:*")}
    assert kept == {cache_keys.RESPONSE(response(n).id) for n in (2, 3, 4, 9)}
    await web.client.responses.delete(response(4).id)
    assert web.sync.zcard(cache_keys.RESPONSES("10.0.0.1")) == 2


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("n_tokens", [0, 2])
async def test_nothing_stays_of_a_request_that_left_without_an_answer(
    web: ApiHarness, streams: bool, n_tokens: int
) -> None:
    go = web.hold(after=n_tokens)
    body = {"input": "hello", "stream": streams}
    async with web.working():
        asking = asyncio.create_task(web.http.post("/v1/responses", json=body))
        await web.followed()
        await web.until(lambda: web.sync.keys("edge:response:*"))
        asking.cancel()
        await web.until(lambda: not web.sync.keys("edge:response*"))
        go.set()
        await web.until(lambda: not web.live)


async def test_a_response_with_an_idempotency_key_stays(web: ApiHarness) -> None:
    """Its client may come back, and the job goes on."""
    go, body = web.hold(), {"input": "hello", "max_output_tokens": 3}
    headers = {"idempotency-key": "mine"}

    def ask() -> asyncio.Task[httpx.Response]:
        asking = web.http.post("/v1/responses", json=body, headers=headers)
        return asyncio.create_task(asking)

    async with web.working():
        asking = ask()
        await web.followed()
        await web.until(lambda: web.sync.keys("edge:response:*"))
        asking.cancel()
        await web.until(lambda: web.n_streams == 0)
        go.set()
        await web.until(lambda: not web.live)
    [key] = web.sync.keys("edge:response:*")
    found = await web.http.get(f"/v1/responses/{key.decode().rpartition(':')[2]}")
    assert found.json()["usage"]["output_tokens"] == 3


async def test_what_is_too_large_is_answered_and_not_stored(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.responses.draft.MOST_BYTES", 100)
    body = {"input": "x" * 200, "max_output_tokens": 3}
    async with web.working():
        reply = await web.http.post("/v1/responses", json=body)
        assert (reply.status_code, reply.json()["store"]) == (200, False)
        body |= {"background": True}
        refused = await web.http.post("/v1/responses", json=body)
    assert code_of(refused) == (413, "request_too_large")
    assert not web.sync.keys("edge:response*")
    assert not web.live


async def test_what_just_exceeds_the_room_takes_none_from_others(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told again of the body counts too."""
    for module in (store, draft):
        monkeypatch.setattr(module, "MOST_BYTES", 2000)
    async with web.working():
        body = {"input": "hello", "max_output_tokens": 3}
        first = (await web.http.post("/v1/responses", json=body)).json()
        body |= {"input": "x" * 1900}
        large = (await web.http.post("/v1/responses", json=body)).json()
    assert (first["store"], large["store"]) == (True, False)
    assert (await web.http.get(f"/v1/responses/{first['id']}")).status_code == 200


async def test_answers_come_without_the_cache_server(broker_url: str) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with api_harness(broker_url, cache_url=away) as web:
        body = {"input": "hello", "max_output_tokens": 3}
        async with web.working():
            reply = await web.http.post("/v1/responses", json=body)
        assert (reply.status_code, reply.json()["store"]) == (200, False)
        read = await web.http.get(f"/v1/responses/{reply.json()['id']}")
        assert code_of(read) == (503, "service_unavailable")
        body |= {"background": True}
        refused = await web.http.post("/v1/responses", json=body)
        assert code_of(refused) == (503, "service_unavailable")
        await web.until(lambda: not web.live)


async def test_the_end_of_a_response_that_has_gone_brings_nothing_back(
    web: ApiHarness,
) -> None:
    kept = web.client.responses
    await kept.put(response(1), ME, "[]")
    await kept.delete(response(1).id)
    await kept.end(response(1).id, Failed("cancelled", "Bye."))
    assert not web.sync.exists(cache_keys.RESPONSE(response(1).id))
    await kept.put(response(2), ME, "[]")
    await kept.end(response(2).id, Failed("cancelled", "Bye."))
    _, outcome = await kept.get(response(2).id, ME)
    assert outcome == Failed("cancelled", "Bye.")
    assert web.sync.ttl(cache_keys.RESPONSE(response(2).id)) > 0

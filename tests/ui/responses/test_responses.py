"""The Responses API over a real Redis, with the stub behind it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from edge.jobs import keys
from edge.jobs.refusal import MOST_KEPT
from edge.stubs.runtime import LONG_ANSWER
from tests.test_images import encode
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part
from ui import in_flight
from ui.responses import routes
from ui.subscriptions import MOST_FOLLOWERS

pytestmark = pytest.mark.redis
HARNESS = {"answer_cache": False}


async def ask(web: ApiHarness, given: Any = "hello", **more: Any) -> httpx.Response:
    body = {"input": given, "max_output_tokens": 10} | more
    return await web.http.post("/v1/responses", json=body)


def text_of(response: dict[str, Any]) -> str:
    [message] = response["output"]
    [part] = message["content"]
    return str(part["text"])


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    frames = [line for line in reply.text.split("\n") if line.startswith("data: ")]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


async def test_a_text_is_answered(web: ApiHarness) -> None:
    async with web.working():
        reply = await ask(web, instructions="Be brief.", metadata={"a": "b"}, user="me")
    response = reply.json()
    assert reply.status_code == 200, response
    assert text_of(response) == LONG_ANSWER[:10]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] == 10
    assert response["id"] == f"resp_{reply.headers['x-job-id']}"
    told = {"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "me"}
    assert response | told == response


async def test_log_probabilities_are_included(web: ApiHarness) -> None:
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    async with web.working():
        response = (await ask(web, **asked)).json()
        events = events_of(await ask(web, stream=True, **asked))
        plain = (await ask(web)).json()
        # what was answered is sent back as it came
        again = await ask(web, [*response["output"], {"role": "user", "content": "?"}])
    [part] = response["output"][0]["content"]
    assert [one["token"] for one in part["logprobs"]] == list(LONG_ANSWER[:10])
    assert all(len(one["top_logprobs"]) == 2 for one in part["logprobs"])
    assert events[-1]["response"]["output"][0]["content"] == [part]
    assert plain["output"][0]["content"][0]["logprobs"] == []
    assert response["top_logprobs"] == 2
    assert again.status_code == 200, again.text


async def test_a_stream_tells_the_same(web: ApiHarness) -> None:
    async with web.working():
        reply = await ask(web, stream=True)
    events = events_of(reply)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[:4] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
    ]
    assert kinds[-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    deltas = [event["delta"] for event in events if "delta" in event]
    assert "".join(deltas) == LONG_ANSWER[:10] == text_of(events[-1]["response"])
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    stored = await web.http.get(f"/v1/responses/{events[0]['response']['id']}")
    assert stored.json() == events[-1]["response"]


@pytest.mark.parametrize("after", [-1, 0, 3, 4, 9, 14, 17, 99])
async def test_a_stream_is_read_again(web: ApiHarness, after: int) -> None:
    async with web.working():
        first = await ask(web, stream=True)
    events = events_of(first)
    path = f"/v1/responses/{events[0]['response']['id']}"
    again = await web.http.get(f"{path}?stream=true&starting_after={after}")
    read = events_of(again)
    assert all(event["sequence_number"] > after for event in read)
    structure = [e for e in events if "delta" not in e and e["sequence_number"] > after]
    assert [event for event in read if "delta" not in event] == structure
    n_known = min(10, max(0, after - 3))
    deltas = [event["delta"] for event in read if "delta" in event]
    assert "".join(deltas) == LONG_ANSWER[n_known:10]


async def test_a_conversation_goes_on(web: ApiHarness) -> None:
    async with web.working():
        first = (await ask(web, "one", instructions="Old.")).json()
        given = {"previous_response_id": first["id"], "instructions": "New."}
        second = (await ask(web, "two", **given)).json()
        third = (await ask(web, "three", previous_response_id=second["id"])).json()
        whole = [
            {"role": "user", "content": "one"},
            *first["output"],
            {"role": "user", "content": "two"},
            *second["output"],
            {"role": "user", "content": "three"},
        ]
        same = (await ask(web, whole)).json()
    assert third["status"] == "incomplete", third
    assert third["usage"]["input_tokens"] == same["usage"]["input_tokens"]
    assert second["usage"]["input_tokens"] < third["usage"]["input_tokens"]


async def test_a_large_picture_is_read(web: ApiHarness) -> None:
    noise = Image.effect_noise((600, 600), 100)
    url = part(encode(noise, "PNG"))["image_url"]["url"]
    assert len(url) > 300_000
    picture = {"type": "input_image", "image_url": url}
    async with web.working():
        first = await ask(web, [{"role": "user", "content": [picture]}])
        assert first.status_code == 200, first.json()
        more = await ask(web, "more", previous_response_id=first.json()["id"])
    assert more.status_code == 200, more.json()


async def test_an_item_is_found_by_its_id(web: ApiHarness) -> None:
    async with web.working():
        first = (await ask(web, "one")).json()
        [item] = first["output"]
        begin, end = (
            {"role": "user", "content": "one"},
            {"role": "user", "content": "2"},
        )
        reference = {"type": "item_reference", "id": item["id"]}
        named = (await ask(web, [begin, reference, end])).json()
        same = (await ask(web, [begin, item, end])).json()
        unknown = {"type": "item_reference", "id": item["id"][:-1] + "7"}
        refused = await ask(web, [begin, unknown])
    assert named["usage"]["input_tokens"] == same["usage"]["input_tokens"]
    assert code_of(refused) == (400, "invalid_request")
    assert refused.json()["error"]["param"] == "input[1].id"


async def test_other_callers_find_nothing(web: ApiHarness) -> None:
    async with web.working():
        response = (await ask(web)).json()
        other = {"authorization": "Bearer other"}
        path = f"/v1/responses/{response['id']}"
        for method, end in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("GET", "/input_items"),
        ]:
            reply = await web.http.request(method, path + end, headers=other)
            assert code_of(reply) == (404, "not_found"), (method, end)
        body = {"input": "more", "previous_response_id": response["id"]}
        reply = await web.http.post("/v1/responses", json=body, headers=other)
        assert code_of(reply) == (404, "not_found")
        assert reply.json()["error"]["param"] == "previous_response_id"
    assert (await web.http.get(path)).json() == response


async def test_what_is_not_stored_is_not_found(web: ApiHarness) -> None:
    async with web.working():
        response = (await ask(web, store=False)).json()
    assert response["store"] is False
    reply = await web.http.get(f"/v1/responses/{response['id']}")
    assert code_of(reply) == (404, "not_found")
    assert not web.sync.keys("edge:response*")


async def test_a_response_is_deleted(web: ApiHarness) -> None:
    async with web.working():
        response = (await ask(web)).json()
    path = f"/v1/responses/{response['id']}"
    reply = (await web.http.delete(path)).json()
    assert reply == {"id": response["id"], "object": "response", "deleted": True}
    assert code_of(await web.http.get(path)) == (404, "not_found")
    assert not web.sync.keys("edge:response*")


async def test_the_input_is_listed(web: ApiHarness) -> None:
    items = [{"role": "user", "content": f"{n}"} for n in range(5)]
    async with web.working():
        response = (await ask(web, items)).json()
    path = f"/v1/responses/{response['id']}/input_items"
    first = (await web.http.get(f"{path}?limit=3&order=asc")).json()
    assert [item["content"][0]["text"] for item in first["data"]] == ["0", "1", "2"]
    assert first["has_more"]
    after = f"&after={first['last_id']}"
    rest = (await web.http.get(f"{path}?limit=3&order=asc{after}")).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["3", "4"]
    assert not rest["has_more"]
    newest = (await web.http.get(f"{path}?limit=1")).json()
    assert newest["data"][0]["content"] == [{"type": "input_text", "text": "4"}]


async def test_inputs_that_are_read_slowly_are_bounded(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web.working():
        response = (await ask(web, "x" * 10_000)).json()
    path = f"/v1/responses/{response['id']}/input_items"
    monkeypatch.setattr(routes, "PIECE", 1000)
    whole = await web.http.get(path)
    assert len(whole.json()["data"][0]["content"][0]["text"]) == 10_000
    assert not web.client.pages_in_flight._held
    monkeypatch.setattr(in_flight, "FREE", 0)
    monkeypatch.setattr(in_flight, "SHARE", 15_000)
    go, sizes = asyncio.Event(), list[int]()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        async def send_slowly(message: Any) -> None:
            sizes.append(len(message.get("body", b"")))
            await send(message)
            if sizes[-1]:
                await go.wait()

        await web.app(scope, receive, send_slowly)

    transport = httpx.ASGITransport(slow, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://ui") as client:
        reading = asyncio.create_task(client.get(path))
        await web.until(lambda: any(sizes))
        assert code_of(await web.http.get(path)) == (503, "service_unavailable")
        assert (await web.at("127.0.0.2").get(path)).status_code == 404
        go.set()
        assert (await reading).content == whole.content
    assert max(sizes) == 1000
    assert not web.client.pages_in_flight._held


# --- in the background ------------------------------------------------------------


async def test_a_response_in_the_background_is_read_later(web: ApiHarness) -> None:
    response = (await ask(web, background=True)).json()
    assert (response["status"], response["output"]) == ("queued", [])
    path = f"/v1/responses/{response['id']}"
    assert (await web.http.get(path)).json()["status"] == "queued"
    async with web.working():
        reply = await web.http.get(f"{path}?stream=true")
    assert events_of(reply)[-1]["type"] == "response.incomplete"
    found = (await web.http.get(path)).json()
    assert (found["status"], text_of(found)) == ("incomplete", LONG_ANSWER[:10])


async def test_a_follower_too_many_does_not_end_the_response(web: ApiHarness) -> None:
    response = (await ask(web, background=True)).json()
    path = f"/v1/responses/{response['id']}"
    following = [
        asyncio.create_task(web.http.get(f"{path}?stream=true"))
        for _ in range(MOST_FOLLOWERS - 1)  # the server follows it too
    ]
    await web.until(lambda: web.n_streams == MOST_FOLLOWERS)
    refused = events_of(await web.http.get(f"{path}?stream=true"))[-1]
    assert (refused["type"], refused["code"]) == ("error", "client_limit")
    async with web.working():
        ends = [events_of(await one)[-1]["type"] for one in following]
    assert set(ends) == {"response.incomplete"}


async def test_a_failure_in_the_background_names_its_field(web: ApiHarness) -> None:
    text = "x" * 100_000  # longer than the context of the stub
    async with web.working():
        reply = await ask(web, text, background=True, stream=True)
    end = events_of(reply)[-1]
    assert (end["type"], end["response"]["error"]["param"]) == (
        "response.failed",
        "input",
    )
    stored = (await web.http.get(f"/v1/responses/{end['response']['id']}")).json()
    assert stored["error"] == end["response"]["error"]


async def test_its_end_is_known_without_a_follower(web: ApiHarness) -> None:
    """As after a restart of the web process."""
    response = (await ask(web, background=True)).json()
    job_id = response["id"].removeprefix("resp_")
    for task in web.client._following._tasks:
        task.cancel()
    await asyncio.sleep(0.1)
    assert web.live == [job_id]
    async with web.working():
        await web.until(lambda: not web.live)
        found = (await web.http.get(f"/v1/responses/{response['id']}")).json()
        assert text_of(found) == LONG_ANSWER[:10]
        more = await ask(web, "more", previous_response_id=response["id"])
        assert more.status_code == 200


async def test_few_that_nobody_reads_are_computed(web: ApiHarness) -> None:
    for n in range(MOST_KEPT):
        reply = await ask(web, f"question {n}", background=True)
        assert reply.status_code == 200
    await web.until(lambda: len(web.live) == MOST_KEPT)
    for job_id in web.live:
        web.sync.hset(keys.JOB(job_id), "watched", 1)
    await asyncio.sleep(1.5)  # this process follows them, which is not to read them
    assert code_of(await ask(web, "more", background=True)) == (429, "client_limit")


async def test_a_response_in_the_background_is_cancelled(web: ApiHarness) -> None:
    response = (await ask(web, background=True)).json()
    path = f"/v1/responses/{response['id']}"
    waiting = await ask(web, "more", previous_response_id=response["id"])
    assert code_of(waiting) == (400, "invalid_request")
    reply = (await web.http.post(f"{path}/cancel")).json()
    assert reply["status"] == "cancelled"
    assert web.live == []
    assert (await web.http.post(f"{path}/cancel")).json() == reply
    async with web.working():
        other = (await ask(web)).json()
    refused = await web.http.post(f"/v1/responses/{other['id']}/cancel")
    assert code_of(refused) == (400, "invalid_request")

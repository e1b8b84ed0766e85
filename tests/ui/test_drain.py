"""A web process that stops: new questions are refused, every stream gets an end."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge.errors import ShuttingDown
from edge.stubs.runtime import LONG_ANSWER
from tests.ui.api_harness import ApiHarness, api_harness, code_of, text_of
from ui import subscriptions

pytestmark = pytest.mark.redis
GRACE_S = 60
HARNESS = {"step_s": 0.005, "answer_cache": False, "grace_s": GRACE_S}


async def begun(web: ApiHarness) -> None:
    """Until an answer has started, and with it its stream."""
    count = web.client.metrics.registry.get_sample_value
    await web.until(lambda: count("edge_queue_seconds_count"))


async def test_a_server_without_streams_stops_at_once(web: ApiHarness) -> None:
    await asyncio.wait_for(web.client.drain(), GRACE_S / 2)


async def test_nothing_new_is_taken(web: ApiHarness) -> None:
    await web.client.drain()
    refused = await web.post()
    assert code_of(refused) == (503, "shutting_down")
    assert int(refused.headers["retry-after"]) >= 1
    assert code_of(await web.http.get("/ready")) == (503, "shutting_down")
    assert (await web.http.get("/health")).status_code == 200
    with pytest.raises(ShuttingDown):
        await web.ask()
    assert web.live == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_running_answer_may_end(web: ApiHarness, stream: bool) -> None:
    go = web.hold(after=20)
    async with web.working():
        asking = web.asking(n=100, stream=stream)
        await web.followed()
        began = time.monotonic()
        draining = asyncio.create_task(web.client.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        assert code_of(await web.post(key="new")) == (503, "shutting_down")
        go.set()
        reply = await asking
        await draining
    assert time.monotonic() - began < GRACE_S
    assert reply.status_code == 200
    assert "shutting_down" not in reply.text


async def test_a_stream_open_after_the_grace_ends_with_an_error(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a stream, and before its first byte."""
    monkeypatch.setattr(subscriptions, "LAST_WORDS_S", 60)
    async with web.working():
        shown = web.asking(n=20_000, key="a", stream=True)
        await begun(web)
        waiting = web.asking(n=5, key="b")
        await web.followed(2)
        await web.client.subscriptions.drain(1)
        assert not web.n_streams
        stream = await asyncio.wait_for(shown, 60)
        refused = await asyncio.wait_for(waiting, 60)
    assert '"code": "shutting_down"' in stream.text
    assert stream.text.endswith("data: [DONE]\n\n")
    assert code_of(refused) == (503, "shutting_down")
    assert refused.headers["retry-after"]


async def test_a_job_that_is_kept_outlives_the_process(
    web: ApiHarness, broker_url: str
) -> None:
    """Its client asks the next one, under the same key."""
    once = {"idempotency-key": "abc"}
    go = web.hold(after=20)
    async with web.working():
        asking = web.asking(n=100, headers=once, stream=True)
        await web.followed()
        await begun(web)
        await web.client.subscriptions.drain(1)
        assert '"code": "shutting_down"' in (await asking).text
        go.set()
        async with api_harness(broker_url, answer_cache=False) as another:
            reply = await another.post(n=100, headers=once, stream=True)
    assert text_of(reply) == LONG_ANSWER[:100]


async def test_an_admitted_question_may_end(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures are being looked at, or its job is on its way into the queue."""
    really_enqueue = web.client._jobs.enqueue

    is_admitted = asyncio.Event()

    async def enqueue(*args, **options):
        is_admitted.set()
        await asyncio.sleep(0.3)
        await really_enqueue(*args, **options)

    monkeypatch.setattr(web.client._jobs, "enqueue", enqueue)
    async with web.working():
        asking = web.asking(n=5)
        await is_admitted.wait()
        assert web.live
        await web.client.drain()
        is_answered = not web.live
        assert (await asking).status_code == 200
    assert is_answered


async def test_a_resumed_stream_may_end(web: ApiHarness) -> None:
    go = web.hold(after=20)
    async with web.working():
        asking = web.asking(n=100)
        await web.followed()
        await web.until(lambda: web.running)
        [job_id] = web.running
        draining = asyncio.create_task(web.client.drain())
        await asyncio.sleep(0.05)
        resuming = asyncio.create_task(web.http.get(f"/v1/jobs/{job_id}/events"))
        await web.until(lambda: web.n_streams == 2 or resuming.done())
        go.set()
        reply = await resuming
        await draining
        await asking
    assert '"finish_reason": "length"' in reply.text
    assert reply.text.endswith("data: [DONE]\n\n")

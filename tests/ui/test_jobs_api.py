"""Jobs over HTTP: state, resumed streams, cancellation, idempotency; by their owner."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from edge.jobs import keys, reconcile, record
from edge.stubs.runtime import LONG_ANSWER
from tests.ui.api_harness import POOL, ApiHarness, api_harness, code_of, text_of
from ui.request_caller import LONGEST_KEY
from ui.subscriptions import MOST_FOLLOWERS

pytestmark = pytest.mark.redis
# A slow worker, so that something can happen meanwhile.
HARNESS = {"step_s": 0.005, "answer_cache": False}


def headers(key: str = "", **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return named | ({"authorization": f"Bearer {key}"} if key else {})


async def get(web: ApiHarness, path: str, key: str = "", **more: str) -> httpx.Response:
    return await web.http.get(f"/v1/jobs/{path}", headers=headers(key, **more))


async def look(web: ApiHarness, job_id: str, key: str = "") -> dict[str, Any]:
    reply = await get(web, job_id, key)
    assert reply.status_code == 200
    return reply.json()


# --- a job from its beginning to its end ------------------------------------------


async def test_an_answer_has_its_job_id_and_the_job_has_the_answer(
    web: ApiHarness,
) -> None:
    async with web.working():
        reply = await web.post()
    job_id = reply.headers["x-job-id"]
    job = await look(web, job_id)
    assert (job["id"], job["object"], job["status"]) == (job_id, "job", "finished")
    assert (job["attempt"], job["position"], job["error"]) == (1, None, None)
    assert job["answer"] == reply.json()
    assert job["answer"]["id"] == f"chatcmpl-{job_id}"
    assert job["answer"]["created"] == job["created"]


async def test_a_stream_has_its_job_id_and_the_same_envelope(
    web: ApiHarness,
) -> None:
    async with web.working():
        reply = await web.post(stream=True)
    assert text_of(reply) == LONG_ANSWER[:10]
    job = await look(web, reply.headers["x-job-id"])
    [answer] = {job["answer"]["id"]}
    assert f'"{answer}"' in reply.text
    assert f'"created": {job["created"]},' in reply.text


async def test_a_job_shows_its_position_and_its_state(
    web: ApiHarness,
) -> None:
    asking = []
    for n in range(3):
        asking.append(web.asking(f"question {n}", key=f"{n}"))
        await web.until(lambda n=n: len(web.waiting) == n + 1)
    ids = web.waiting
    claim = web.jobs.claim()
    jobs = [await look(web, job_id, f"{n}") for n, job_id in enumerate(ids)]
    assert [job["status"] for job in jobs] == ["running", "waiting", "waiting"]
    assert [job["position"] for job in jobs] == [None, 1, 2]
    assert jobs[0]["starts_in_s"] is None
    assert 0 < jobs[1]["starts_in_s"] < jobs[2]["starts_in_s"]
    assert all(job["answer"] is None is job["error"] for job in jobs)
    assert claim.job_id == ids[0]
    for task in asking:
        task.cancel()


async def test_a_failed_job_shows_its_error(web: ApiHarness) -> None:
    async with web.working():
        reply = await web.post("x" * 50_000)
        assert code_of(reply) == (400, "context_length_exceeded")
    [key] = web.sync.keys("edge:job:*")
    job = await look(web, key.decode().removeprefix("edge:job:"))
    assert job["status"] == "failed"
    assert job["error"] == reply.json()["error"]


# --- ended by hand ----------------------------------------------------------------


async def test_a_waiting_job_can_be_cancelled(web: ApiHarness) -> None:
    asking = web.asking()
    await web.until(lambda: web.waiting)
    [job_id] = web.waiting
    reply = await web.http.delete(f"/v1/jobs/{job_id}")
    assert reply.status_code == 200
    assert reply.json()["status"] == "cancelled"
    assert reply.json()["error"]["code"] == "cancelled"
    assert code_of(await asking) == (499, "cancelled")
    assert web.live == []


async def test_a_running_job_can_be_cancelled_and_frees_its_slot(
    web: ApiHarness,
) -> None:
    async with web.working():
        asking = web.asking(n=20_000, stream=True)
        await web.until(lambda: web.runtime.cells)
        [job_id] = web.running
        reply = await web.http.delete(f"/v1/jobs/{job_id}")
        assert reply.json()["status"] == "cancelled"
        await web.until(lambda: not web.runtime.cells)
        stream = await asking
    assert '"code": "cancelled"' in stream.text
    assert stream.text.endswith("data: [DONE]\n\n")


async def test_an_ended_job_stays_as_it_ended(web: ApiHarness) -> None:
    async with web.working():
        job_id = (await web.post()).headers["x-job-id"]
    for _ in range(2):
        reply = await web.http.delete(f"/v1/jobs/{job_id}")
        assert reply.json()["status"] == "finished"
        assert reply.json()["answer"]["choices"][0]["message"]["content"]


# --- followed again ---------------------------------------------------------------


async def test_a_stream_can_be_read_again(web: ApiHarness) -> None:
    async with web.working():
        first = await web.post(n=40, stream=True)
    again = await get(web, first.headers["x-job-id"] + "/events")
    assert again.headers["content-type"].startswith("text/event-stream")
    assert text_of(again) == text_of(first) == LONG_ANSWER[:40]
    assert again.text.endswith("data: [DONE]\n\n")
    assert "usage" not in again.text
    usage = await get(web, first.headers["x-job-id"] + "/events?include_usage=true")
    assert '"completion_tokens": 40' in usage.text


@pytest.mark.parametrize("at", [0, 1, 17, 40, 99])
async def test_a_stream_resumes_after_the_last_event_id(
    web: ApiHarness, at: int
) -> None:
    async with web.working():
        job_id = (await web.post(n=40)).headers["x-job-id"]
    reply = await get(web, f"{job_id}/events", last_event_id=str(at))
    assert text_of(reply) == LONG_ANSWER[at:40]
    assert '"finish_reason": "length"' in reply.text


async def test_a_job_that_runs_is_followed_to_its_end(web: ApiHarness) -> None:
    go = web.hold(after=50)
    async with web.working():
        asking = web.asking(n=200)
        await web.until(lambda: web.runtime.cells)
        [job_id] = web.running
        following = asyncio.create_task(
            get(web, f"{job_id}/events", last_event_id="100")
        )
        await web.until(lambda: web.n_streams == 2 or following.done())
        go.set()
        assert text_of(await following) == LONG_ANSWER[100:200]
        assert (await asking).status_code == 200


async def test_followers_of_one_job_have_a_bound(web: ApiHarness) -> None:
    """Each takes a connection to the broker, which all callers share."""
    asking = web.asking(n=200)
    await web.followed()
    [job_id] = web.live
    following = [
        asyncio.create_task(get(web, f"{job_id}/events"))
        for _ in range(MOST_FOLLOWERS + 3)
    ]
    await web.until(lambda: sum(one.done() for one in following) == 4)
    async with web.working():
        assert (await asking).status_code == 200
        texts = [(await one).text for one in following]
    refused = [text for text in texts if "client_limit" in text]
    assert len(refused) == 4
    assert all("[DONE]" in text for text in texts)
    assert not web.client.subscriptions._n_of_job


async def test_closing_a_resumed_stream_does_not_end_the_job(
    web: ApiHarness,
) -> None:
    go = web.hold(after=50)
    async with web.working():
        asking = web.asking(n=200)
        await web.until(lambda: web.runtime.cells)
        [job_id] = web.running
        looking_on = asyncio.create_task(get(web, f"{job_id}/events"))
        await web.until(lambda: web.n_streams == 2)
        looking_on.cancel()
        await web.until(lambda: web.n_streams == 1)
        go.set()
        assert (await asking).status_code == 200


NO_IDS = ["-1", "1.5", "", "abc", "1e3", "²", "9" * 10, "9" * 5000, " "]


async def test_an_invalid_last_event_id_is_refused(web: ApiHarness) -> None:
    async with web.working():
        job_id = (await web.post()).headers["x-job-id"]
    for last_event_id in NO_IDS:
        given = {"last-event-id": last_event_id.encode()}
        reply = await web.http.get(f"/v1/jobs/{job_id}/events", headers=given)
        assert code_of(reply) == (400, "invalid_request")
        assert "Last-Event-ID" in reply.json()["error"]["message"]


async def test_so_it_is_when_a_question_is_asked_again(web: ApiHarness) -> None:
    async with web.working():
        reply = await web.post(headers=headers(last_event_id="x"), stream=True)
    assert code_of(reply) == (400, "invalid_request")


async def test_and_then_nothing_is_computed(web: ApiHarness) -> None:
    async with web.working():
        await web.post(headers=headers(last_event_id="x"), stream=True)
    assert not web.sync.keys("edge:job:*")


# --- jobs of others, and unknown ones ---------------------------------------------


@pytest.mark.parametrize("key", ["other", ""])
async def test_other_callers_get_404_for_a_job(web: ApiHarness, key: str) -> None:
    async with web.working():
        reply = await web.post(key="mine")
    job_id = reply.headers["x-job-id"]
    refusals = [
        await get(web, job_id, key),
        await get(web, f"{job_id}/events", key),
        await web.http.delete(f"/v1/jobs/{job_id}", headers=headers(key)),
        await get(web, "0" * 32, key),
    ]
    assert {code_of(reply) for reply in refusals} == {(404, "not_found")}
    assert len({reply.text for reply in refusals}) == 1
    assert (await look(web, job_id, "mine"))["status"] == "finished"


async def test_others_cannot_cancel(web: ApiHarness) -> None:
    go = web.hold()
    async with web.working():
        asking = web.asking(n=100, key="mine")
        await web.until(lambda: web.running)
        [job_id] = web.running
        await web.http.delete(f"/v1/jobs/{job_id}", headers=headers("other"))
        go.set()
        assert (await asking).status_code == 200


HOSTILE = [
    "x",
    "%00",
    "%0a%0d",
    "%ff%fe",
    "%f0%9f%90%88",
    "*",
    "?",
    "a:b",
    "'\"\\",
    "edge:pools",
    "..%2f..%2fetc%2fpasswd",
    "0" * 5000,
    "%7B%7D",
    "{job}",
]


async def test_a_hostile_id_finds_no_job(web: ApiHarness) -> None:
    async with web.working():
        await web.post()
    for job_id in HOSTILE:
        for path in (job_id, f"{job_id}/events"):
            for method in ("GET", "DELETE"):
                url = httpx.URL("http://ui", raw_path=f"/v1/jobs/{path}".encode())
                reply = await web.http.request(method, url)
                assert reply.status_code in (404, 405), path
                assert reply.json()["error"]["message"]
                assert len(reply.content) < 1000


# --- asked twice ------------------------------------------------------------------


async def test_a_question_with_one_idempotency_key_is_computed_once(
    web: ApiHarness,
) -> None:
    once = headers(Idempotency_Key="abc")
    first = web.asking(n=50, headers=once)
    await web.until(lambda: web.waiting)
    second = web.asking(n=50, headers=once)
    async with web.working():
        replies = [await first, await second, await web.post(n=50, headers=once)]
    assert len({reply.headers["x-job-id"] for reply in replies}) == 1
    bodies = [reply.json() for reply in replies]
    assert bodies[0] == bodies[1] == bodies[2]
    assert web.engine.load.n_steps < 2 * 50


async def test_a_stream_goes_on_by_asking_again(web: ApiHarness) -> None:
    once = headers(idempotency_key="abc")
    async with web.working():
        first = await web.post(n=40, headers=once, stream=True)
        later = headers(idempotency_key="abc", last_event_id="25")
        again = await web.post(n=40, headers=later, stream=True)
    assert text_of(first) == LONG_ANSWER[:40]
    assert text_of(again) == LONG_ANSWER[25:40]


async def test_a_job_with_a_key_goes_on_when_its_client_leaves(web: ApiHarness) -> None:
    once = headers(idempotency_key="abc")
    go = web.hold(after=20)
    async with web.working():
        asking = web.asking(n=100, headers=once)
        await web.until(lambda: web.runtime.cells)
        asking.cancel()
        go.set()
        reply = await web.post(n=100, headers=once)
    assert reply.json()["choices"][0]["message"]["content"] == LONG_ANSWER[:100]
    job = await look(web, reply.headers["x-job-id"])
    assert job["attempt"] == 1


async def test_a_job_without_a_key_ends_when_its_client_leaves(web: ApiHarness) -> None:
    """Not because nobody watches it."""
    async with web.working():
        asking = web.asking(n=20_000)
        await web.until(lambda: web.runtime.cells)
        asking.cancel()
        await web.until(lambda: not web.runtime.cells)
        await web.until(lambda: web.live == [])


async def test_another_question_under_the_same_key_is_refused(web: ApiHarness) -> None:
    once = headers(idempotency_key="abc")
    async with web.working():
        first = await web.post(headers=once)
        other = await web.post("something else", headers=once)
        streamed = await web.post(headers=once, stream=True)
    assert first.status_code == 200
    assert code_of(other) == code_of(streamed) == (409, "idempotency_key_reused")


async def test_the_same_key_of_another_client_is_another_question(
    web: ApiHarness,
) -> None:
    once = headers(idempotency_key="abc")
    async with web.working():
        mine = await web.post(key="mine", headers=once)
        yours = await web.post("something else", key="yours", headers=once)
    assert (mine.status_code, yours.status_code) == (200, 200)
    assert mine.headers["x-job-id"] != yours.headers["x-job-id"]


async def test_strange_keys_are_keys(web: ApiHarness) -> None:
    keys = ["a" * LONGEST_KEY, "a b", "a:b", "edge:job:*", "\xe9", "{}'\""]
    async with web.working():
        for key in keys:
            once = {"idempotency-key": key.encode("latin-1")}
            replies = [await web.post(headers=once) for _ in range(2)]
            assert len({reply.headers["x-job-id"] for reply in replies}) == 1


async def test_a_key_that_is_too_long_is_refused(web: ApiHarness) -> None:
    reply = await web.post(headers=headers(idempotency_key="a" * (LONGEST_KEY + 1)))
    assert code_of(reply) == (400, "invalid_request")
    assert str(LONGEST_KEY) in reply.json()["error"]["message"]
    assert web.live == []


# --- admission --------------------------------------------------------------------


async def test_one_client_gets_half_of_the_queue(broker_url: str) -> None:
    async with api_harness(broker_url, backlog=3) as web:  # and one slot: four jobs
        asking = [web.asking(f"{n}", key="many") for n in range(2)]
        await web.until(lambda: len(web.live) == 2)
        refused = await web.post("more", key="many")
        assert code_of(refused) == (429, "client_limit")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        another_name = await web.post("more", key="other")
        assert code_of(another_name) == (429, "client_limit")
        asking += [web.asking(f"{n}", address="10.0.0.2") for n in range(2)]
        await web.until(lambda: len(web.live) == 4)
        refused = await web.post("more", address="10.0.0.3")
        assert code_of(refused) == (429, "queue_full")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        for task in asking:
            task.cancel()


async def test_a_refused_picture_frees_its_reservation(web: ApiHarness) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"messages": [{"role": "user", "content": [picture]}]}
    reply = await web.http.post("/v1/chat/completions", json=body)
    assert code_of(reply) == (400, "invalid_image")
    assert reply.json()["error"]["param"] == "messages[0].content[0].image_url"
    await web.until(lambda: web.live == [])


async def test_flex_questions_are_batch_work(web: ApiHarness) -> None:
    tasks = [web.asking("flex", key="a", service_tier="flex")]
    await web.until(lambda: len(web.waiting) == 1)
    tasks.append(web.asking("now", key="b"))
    await web.until(lambda: len(web.waiting) == 2)
    records = map(keys.JOB, web.waiting)
    assert [web.sync.hget(key, "priority") for key in records] == [b"normal", b"low"]
    for task in tasks:
        task.cancel()


async def test_a_question_that_killed_two_workers_is_refused_for_a_while(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LEASE_S", -1)
    asking = web.asking("deadly", key="a")
    for _ in range(record.MOST_DEATHS):
        await web.until(lambda: web.waiting)
        claim = web.jobs.claim()
        web.sync.zadd(keys.RUNNING(POOL), {claim.job_id: 1})
        await web.client._reconciler.tick()
    for reply in (await asking, await web.post("deadly", key="b")):
        assert code_of(reply) == (500, "request_quarantined")
        assert reply.headers["x-should-retry"] == "false"
    await web.until(lambda: web.live == [])


async def test_a_stream_that_a_worker_takes_after_a_second_is_a_stream(
    web: ApiHarness,
) -> None:
    asking = web.asking(n=40, stream=True)
    await web.until(lambda: web.waiting)
    await asyncio.sleep(1.2)
    async with web.working(checks=False):
        reply = await asking
    assert reply.status_code == 200
    assert text_of(reply) == LONG_ANSWER[:40]

"""The one way of a question, when a client hangs up on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from edge.errors import DeadlineExceeded, Unavailable
from edge.jobs import keys
from edge.jobs.client_side import ClientJobs
from edge.jobs.submission import Admitted, Submission
from edge.limits import Limits
from tests.jobs.jobs_harness import caller
from tests.ui.api_harness import ApiHarness, PictureQuestion, api_harness, code_of
from tests.ui.pictures import part, png

pytestmark = pytest.mark.redis


async def ask(web: ApiHarness, idempotency_key: str = "") -> Any:
    submission = Submission(
        caller("me"), max_tokens=8, idempotency_key=idempotency_key, body_hash="a"
    )
    with web.client.metrics.question() as watch:
        meter = web.client.meter(submission)
        question = PictureQuestion("hello")
        return await web.client.ask(submission, question, meter, watch)


async def test_a_client_that_leaves_during_admission_leaves_no_job(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_harness(broker_url) as web:
        really_admit = web.client._jobs.admit
        admitted = asyncio.Event()

        async def admit(*args: Any, **options: Any) -> Any:
            job = await really_admit(*args, **options)
            admitted.set()
            await asyncio.sleep(0.1)
            return job

        monkeypatch.setattr(web.client._jobs, "admit", admit)
        asking = asyncio.create_task(ask(web))
        await admitted.wait()
        assert len(web.live) == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await web.until(lambda: not web.live)


async def test_an_admission_during_a_stall_of_the_broker_leaves_nothing(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is refused, and the broker admits its question a moment later."""
    limits = Limits.read("answer-tokens/day=100")
    alice = Submission(caller("alice", tenant="alice"), limits, max_tokens=8)
    async with api_harness(broker_url) as web:
        jobs, broker = web.client._jobs, int(web.sync.info()["process_id"])
        really_admit = jobs.admit

        async def admit(*args: Any, **options: Any) -> Any:
            os.kill(broker, signal.SIGSTOP)
            try:
                with monkeypatch.context() as patch:
                    patch.setattr("edge.redis_clients.TIMEOUT_S", 0.5)
                    return await really_admit(*args, **options)
            finally:
                os.kill(broker, signal.SIGCONT)

        monkeypatch.setattr(jobs, "admit", admit)
        withdrawing = spy(monkeypatch, jobs, "withdraw")
        meter = web.client.meter(alice)
        with web.client.metrics.question() as watch, pytest.raises(Unavailable):
            question = PictureQuestion("hello")
            await web.client.ask(alice, question, meter, watch)
        await web.until(withdrawing.is_set)
        assert web.live == []
        assert web.sync.keys(keys.JOB("*"))  # it was admitted, or would have been
        charge = await meter.charge("answer-tokens", 0)
        assert charge and charge.left == 100


async def test_a_full_broker_admits_nothing_and_the_charge_comes_back(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is full when the question has been charged. Nothing was lost."""
    limits = Limits.read("answer-tokens/day=100")
    alice = Submission(caller("alice", tenant="alice"), limits, max_tokens=8)
    async with api_harness(broker_url) as web:
        jobs = web.client._jobs
        really_admit = jobs.admit

        async def admit(*args: Any, **options: Any) -> Any:
            web.sync.config_set("maxmemory", 1)
            try:
                return await really_admit(*args, **options)
            finally:
                web.sync.config_set("maxmemory", 0)

        monkeypatch.setattr(jobs, "admit", admit)
        meter = web.client.meter(alice)
        with web.client.metrics.question() as watch, pytest.raises(Unavailable):
            question = PictureQuestion("hello")
            await web.client.ask(alice, question, meter, watch)
        charge = await meter.charge("answer-tokens", 0)
        assert charge and charge.left == 100
        assert web.client._asking._admission._lost._task is None
        assert not web.sync.keys(keys.JOB("*"))


def spy(monkeypatch: pytest.MonkeyPatch, jobs: ClientJobs, name: str) -> asyncio.Event:
    """Set when this has been done."""
    really, done = getattr(jobs, name), asyncio.Event()

    async def call(*args: Any) -> None:
        await really(*args)
        done.set()

    monkeypatch.setattr(jobs, name, call)
    return done


@pytest.mark.parametrize("key", ["", "abc"])
async def test_a_queued_job_with_a_key_goes_on_without_its_client(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Also when the client leaves before the workers are told."""
    async with api_harness(broker_url) as web:
        calling = asyncio.Event()

        async def call(_pool: str) -> None:
            calling.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(web.client._asking, "_call", call)
        asking = asyncio.create_task(ask(web, key))
        await calling.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if key:
            await web.client._background.close()
            assert len(web.waiting) == 1
        else:
            await web.until(lambda: not web.waiting)


@pytest.mark.parametrize("closes", [True, False])
async def test_a_job_whose_events_nobody_reads_is_cancelled(
    broker_url: str, *, closes: bool
) -> None:
    """They are closed, or forgotten, before their first one is asked for: the client
    left between the question and the answer."""
    async with api_harness(broker_url) as web:
        asked = await ask(web)
        assert len(web.waiting) == 1
        if closes:
            await asked.events.aclose()
        del asked
        await web.until(lambda: not web.live)


def picture_body() -> dict[str, Any]:
    content = [part(png()), {"type": "text", "text": "What is it?"}]
    return {"messages": [{"role": "user", "content": content}]}


def hang_once(web: ApiHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next picture is never decoded; later ones are."""
    decoder, hangs = web.client._asking.decoder, [True]
    really = decoder.decode

    async def decode(*args: Any) -> Any:
        if hangs:
            hangs.clear()
            await asyncio.sleep(600)
        return await really(*args)

    monkeypatch.setattr(decoder, "decode", decode)


async def test_a_client_is_waited_for_while_its_pictures_are_decoded(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy server that takes longer than a job may be without a client."""
    monkeypatch.setattr("ui.admission.WATCH_EVERY_S", 0.05)
    async with api_harness(broker_url) as web:
        decoder, going_on = web.client._asking.decoder, asyncio.Event()
        really = decoder.decode

        async def decode(*args: Any) -> Any:
            await going_on.wait()
            return await really(*args)

        monkeypatch.setattr(decoder, "decode", decode)
        asking = asyncio.create_task(web.post(**picture_body()))
        await web.until(lambda: web.live)
        job = keys.JOB(web.live[0])
        web.sync.hset(job, "watched", 1)
        await web.until(lambda: float(web.sync.hget(job, "watched")) > time.time())
        going_on.set()
        async with web.working():
            assert (await asking).status_code == 200


async def test_a_question_goes_on_when_its_web_process_died_before_the_queue(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client asks another one, or the same one that was started again."""
    once = {"idempotency-key": "abc"}
    async with api_harness(broker_url) as web, api_harness(broker_url) as dead:
        hang_once(dead, monkeypatch)
        first = dead.asking(**picture_body(), headers=once)
        await web.until(lambda: web.live)
        async with web.working(), asyncio.timeout(60):
            reply = await web.post(**picture_body(), headers=once)
        assert reply.status_code == 200
        assert reply.headers["x-job-id"]
        first.cancel()


async def test_a_question_that_is_asked_twice_is_prepared_once(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = {"idempotency-key": "abc"}
    async with api_harness(broker_url) as web:
        decoder, going_on, n_decoded = web.client._asking.decoder, asyncio.Event(), 0
        really = decoder.decode

        async def decode(*args: Any) -> Any:
            nonlocal n_decoded
            n_decoded += 1
            await going_on.wait()
            return await really(*args)

        monkeypatch.setattr(decoder, "decode", decode)
        asked = [web.asking(**picture_body(), headers=once)]
        await web.until(lambda: web.live)
        asked += [web.asking(**picture_body(), headers=once) for _ in range(3)]
        await asyncio.sleep(0.3)
        going_on.set()
        async with web.working():
            replies = await asyncio.gather(*asked)
        assert {reply.status_code for reply in replies} == {200}
        assert len({reply.headers["x-job-id"] for reply in replies}) == 1
        assert n_decoded == 1


async def test_who_waits_for_a_request_that_fails_prepares_the_question(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request comes from a client that leaves, after its web process died."""
    once = {"idempotency-key": "abc"}
    async with api_harness(broker_url) as web, api_harness(broker_url) as dead:
        for one in (web, dead):
            hang_once(one, monkeypatch)
        died = dead.asking(**picture_body(), headers=once)
        await web.until(lambda: web.live)
        first = web.asking(**picture_body(), headers=once)
        await web.until(lambda: web.client._asking._unqueued)
        second = web.asking(**picture_body(), headers=once)
        await asyncio.sleep(0.2)
        first.cancel()
        async with web.working(), asyncio.timeout(60):
            assert (await second).status_code == 200
        died.cancel()


@pytest.mark.parametrize("late_s", [0, 0.5])
async def test_who_leaves_does_not_take_the_question_from_another(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, late_s: float
) -> None:
    """A client that asks again with its key while the first request still waits: the
    queue has given it the job, and it may not know it yet."""
    once, given = {"idempotency-key": "abc"}, asyncio.Event()
    async with api_harness(broker_url) as web:
        hang_once(web, monkeypatch)
        first = web.asking(**picture_body(), headers=once)
        await web.until(lambda: web.client._asking._unqueued)
        admit = web.client._jobs.admit

        async def admit_late(*args: Any, **options: Any) -> Admitted:
            admitted = await admit(*args, **options)
            given.set()
            await asyncio.sleep(late_s)
            return admitted

        monkeypatch.setattr(web.client._jobs, "admit", admit_late)
        second = web.asking(**picture_body(), headers=once)
        await given.wait()
        first.cancel()
        async with web.working(), asyncio.timeout(60):
            assert (await second).status_code == 200


async def test_when_all_have_left_before_the_queue_the_job_ends(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = {"idempotency-key": "abc"}
    async with api_harness(broker_url) as web:
        monkeypatch.setattr(
            web.client._asking.decoder, "decode", lambda *_: asyncio.sleep(600)
        )
        first = web.asking(**picture_body(), headers=once)
        await web.until(lambda: web.live)
        second = web.asking(**picture_body(), headers=once)
        await asyncio.sleep(0.2)
        first.cancel()
        await asyncio.sleep(0.3)
        assert web.live  # the second one waits for it
        second.cancel()
        await web.until(lambda: not web.live)


async def test_a_job_that_ends_while_pictures_are_decoded_says_why(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_harness(broker_url) as web:
        decoder = web.client._asking.decoder
        really = decoder.decode

        async def decode(*args: Any) -> Any:
            late = DeadlineExceeded("It took too long.")
            await web.client._jobs.fail(web.live[0], late)
            return await really(*args)

        monkeypatch.setattr(decoder, "decode", decode)
        reply = await web.post(**picture_body())
        assert code_of(reply) == (504, "deadline_exceeded")
        assert not [*web.sync.scan_iter(keys.PICTURES("*"))]


async def test_nobody_is_refused_for_the_schema_of_a_json_object(
    broker_url: str,
) -> None:
    """It is everybody's; that of a question is known by its hash."""
    own: dict[str, Any] = {"type": "json_object"}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    sent = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    async with api_harness(broker_url) as web:
        for form in (own, sent):
            asking = web.asking(response_format=form)
            await web.until(lambda: web.waiting)
            found = web.sync.hget(keys.JOB(web.waiting[-1]), "schema")
            assert bool(found) is (form == sent)
            asking.cancel()
            await web.until(lambda: not web.waiting)

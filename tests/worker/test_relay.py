"""From job to engine and back, over the stub engine and a real Redis."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import redis

from edge.engine.step import Sampled, Step
from edge.events import (
    Embedded,
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilling,
    Retried,
    Started,
    Token,
)
from edge.jobs import keys
from edge.jobs.channel import Closing, Publisher
from edge.jobs.estimate import Pace
from edge.jobs.worker_side import Claim
from edge.request import Message, PictureRef, Request, SamplingParams
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from tests.conftest import wait_for
from tests.jobs.jobs_harness import BOUNDS, POOL
from tests.worker.worker_harness import WorkerHarness
from worker import relay

pytestmark = pytest.mark.redis


async def ask(harness: WorkerHarness, text: str = "hello", n: int = 10, **given) -> str:
    """A job that asks for `n` tokens."""
    job = await harness.admit(**given)
    await harness.enqueue(job.job_id, text, max_tokens=n)
    return job.job_id


async def ask_long(harness: WorkerHarness, **given) -> str:
    """A job whose answer takes minutes, far longer than `answering` waits."""
    harness.runtime.step_s = 0.01
    return await ask(harness, n=20_000, **given)


@pytest.fixture
def skip(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for the relay."""
    skipped_s = 0.0

    def skip(seconds: float) -> None:
        nonlocal skipped_s
        skipped_s += seconds

    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + skipped_s, sleep=time.sleep
    )
    monkeypatch.setattr(relay, "time", clock)
    return skip


@pytest.fixture
def go_on(harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, the engine computes no second token."""
    go_on, begun, really_run = threading.Event(), [], harness.runtime.run

    def run(step: Step) -> list[Sampled]:
        assert not begun or go_on.wait(60)
        begun.extend(sampled := really_run(step))
        return sampled

    monkeypatch.setattr(harness.runtime, "run", run)
    return go_on


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def without_progress(events: Sequence[Event]) -> list[Event]:
    return [e for e in events if not isinstance(e, Encoding | Prefilling)]


async def test_an_answer_streams_to_its_follower(harness: WorkerHarness) -> None:
    job_id = await ask(harness, n=10)
    harness.relay.answer()
    started, embedded, *tokens, last = without_progress(await harness.events(job_id))
    assert isinstance(started, Started)
    assert isinstance(embedded, Embedded)
    assert text_of(tokens) == "0 1 2 3 4 "
    assert isinstance(last, Finished)
    assert last.answer.text == "0 1 2 3 4 "


async def test_a_surplus_message_does_no_harm(harness: WorkerHarness) -> None:
    job_id = await ask(harness, n=3)
    harness.relay.answer()
    harness.relay.answer()
    seen = without_progress(await harness.events(job_id))
    started, embedded, *tokens, finished = seen
    assert isinstance(started, Started) and isinstance(embedded, Embedded)
    assert text_of(tokens) == finished.answer.text == LONG_ANSWER[:3]


@pytest.mark.parametrize("how", ["client", "deadline", "unwatched"])
async def test_a_running_answer_stops_computing(
    harness: WorkerHarness, skip: Callable[[float], None], how: str
) -> None:
    job_id = await ask_long(harness)
    with harness.answering():
        harness.wait_computing()
        if how == "client":
            await harness.client.cancel(job_id)
        elif how == "deadline":
            skip(60)
        else:
            harness.forget(job_id)
    assert harness.runtime.cells == {}
    expected = "expired" if how == "deadline" else "cancelled"
    assert await harness.state(job_id) == expected
    assert harness.claiming.n_running == 0


SLOW = Request(
    tuple(Message("user", (f"slow {n}",)) for n in range(2000)),
    SamplingParams(5),
    truncate=True,
)


@pytest.fixture
def preparing(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> threading.Event:
    """Each message of SLOW takes 50 ms, all of them take far longer than `answering`
    waits; set when the first is reached."""
    begun, really_tokenize = threading.Event(), harness.runtime.tokenize

    def tokenize(text: str, *, special: bool) -> list[int]:
        if "slow" in text:
            begun.set()
            time.sleep(0.05)
        return really_tokenize(text, special=special)

    monkeypatch.setattr(harness.runtime, "tokenize", tokenize)
    monkeypatch.setattr(relay, "RENEW_S", 0.1)
    return begun


@pytest.mark.parametrize("how", ["client", "deadline", "unwatched", "stop"])
async def test_preparing_ends_with_the_wait(
    harness: WorkerHarness,
    preparing: threading.Event,
    skip: Callable[[float], None],
    how: str,
) -> None:
    job = await harness.admit()
    await harness.client.enqueue(job.job_id, SLOW, "slow", [], POOL, BOUNDS)
    with harness.answering():
        assert await asyncio.to_thread(preparing.wait, 60)
        if how == "client":
            await harness.client.cancel(job.job_id)
        elif how == "unwatched":
            harness.forget(job.job_id)
        elif how == "deadline":
            skip(60)
        else:
            harness.relay.drain(grace_s=0)
    states = {"deadline": "expired", "stop": "waiting"}
    assert await harness.state(job.job_id) == states.get(how, "cancelled")
    assert harness.claiming.n_running == 0


async def test_the_lease_is_kept_while_a_question_is_prepared(
    harness: WorkerHarness, preparing: threading.Event
) -> None:
    job = await harness.admit()
    await harness.client.enqueue(job.job_id, SLOW, "slow", [], POOL, BOUNDS)

    def lease() -> float:
        return harness.sync.zscore(keys.RUNNING(POOL), job.job_id) or 0

    with harness.answering():
        assert await asyncio.to_thread(preparing.wait, 60)
        first = lease()
        await asyncio.to_thread(harness.wait, lambda: lease() > first + 0.3)
        await harness.client.cancel(job.job_id)


async def test_the_lease_is_kept_while_a_grammar_is_tried_out(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which asks for no sign of life in between."""
    begun, over = threading.Event(), threading.Event()

    def check(_sampling: object) -> None:
        begun.set()
        over.wait(60)

    monkeypatch.setattr(harness.runtime, "check", check)
    monkeypatch.setattr(relay, "RENEW_S", 0.1)
    job_id = await ask(harness)

    def lease() -> float:
        return harness.sync.zscore(keys.RUNNING(POOL), job_id) or 0

    with harness.answering():
        assert await asyncio.to_thread(begun.wait, 60)
        first = lease()
        await asyncio.to_thread(harness.wait, lambda: lease() > first + 0.3)
        over.set()


async def test_a_picture_is_counted_although_its_pixels_were_not_sent(
    harness: WorkerHarness,
) -> None:
    message = Message("user", (PictureRef("0" * 64, 640, 480), "What is it?"))
    count = Request((message,), SamplingParams(1), wants="count")
    job = await harness.admit()
    await harness.client.enqueue(job.job_id, count, "count", [], POOL, BOUNDS)
    harness.relay.answer()
    [finished] = await harness.events(job.job_id)
    assert isinstance(finished, Finished)
    assert finished.answer.usage.prompt_tokens > len("What is it?")


async def test_a_job_that_waited_too_long_is_not_run(harness: WorkerHarness) -> None:
    job_id = await ask(harness)
    harness.set(job_id, expires=1)
    harness.relay.answer()
    events = await harness.events(job_id)
    assert [event.code for event in events] == ["deadline_exceeded"]


async def test_a_prompt_that_cannot_fit_fails_with_the_numbers(
    harness: WorkerHarness,
) -> None:
    job_id = await ask(harness, "x" * 50_000)
    harness.relay.answer()
    [failed] = await harness.events(job_id)
    assert failed.code == "context_length_exceeded"
    assert "40000" in failed.message


async def test_an_unexpected_error_is_one_sentence(
    harness: WorkerHarness, monkeypatch
) -> None:
    def broken(claim: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(harness.worker, "pictures", broken)
    job_id = await ask(harness)
    harness.relay.answer()
    assert await harness.events(job_id) == [
        Failed("engine_error", "Computing this answer failed.")
    ]


async def test_a_lost_job_stops_computing(
    harness: WorkerHarness,
) -> None:
    """Its lease ran out while the worker stood still; another has it."""
    job_id = await ask_long(harness)
    with harness.answering():
        harness.wait_computing()
        [claimed] = harness.sync.zrange(keys.RUNNING(POOL), 0, -1)
        while not harness.sync.zcard(keys.WAITING(POOL)):
            harness.reconciler._in_touch_since = time.monotonic() - 60
            # again, if it has just been renewed
            harness.sync.zadd(keys.RUNNING(POOL), {claimed: 1})
            await harness.reconciler.tick()
        claim = harness.claim()
    assert harness.runtime.cells == {}
    assert await harness.state(job_id) == "running"
    harness.publisher.publish(job_id, claim.attempt, 1, [Token("another's")])
    harness.worker.end(claim, Failed("engine_error", "no"))
    events = await harness.events(job_id)
    gone = events.index(Retried())
    assert LONG_ANSWER.startswith(text_of(events[:gone]))
    assert text_of(events[gone:]) == "another's"


async def test_the_pace_is_learned_from_answers_alone(harness: WorkerHarness) -> None:
    def pace() -> Pace:
        return Pace.read(harness.sync.get(keys.PACE(POOL)))

    await ask(harness, "x" * 50_000)
    harness.relay.answer()
    assert pace().n_jobs == 0
    await ask(harness, n=20)
    began = time.monotonic()
    harness.relay.answer()
    duration_s = time.monotonic() - began
    assert pace().n_jobs == 1
    assert 0.02 < pace().job_s <= duration_s
    assert pace().image_s != Pace().image_s
    assert 0.002 <= pace().answer_s < duration_s


async def test_answers_are_counted(harness: WorkerHarness) -> None:
    await ask(harness, n=3)
    harness.relay.answer()
    await ask(harness, "x" * 50_000)
    harness.relay.answer()
    registry = harness.metrics.registry
    for outcome, code in (
        ("finished", ""),
        ("failed", "context_length_exceeded"),
    ):
        labels = {"outcome": outcome, "code": code}
        assert registry.get_sample_value("edge_engine_requests_total", labels) == 1


async def test_a_late_end_is_not_counted(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = harness.worker.pictures

    def late(claim: Claim):
        found = pictures(claim)
        assert harness.worker.end_waiting(
            claim.job_id, Failed("invalid_request", "No.")
        )
        return found

    monkeypatch.setattr(harness.worker, "pictures", late)
    await ask(harness, n=1_000_000)
    harness.relay.answer()
    labels = {"outcome": "failed", "code": "context_length_exceeded"}
    get = harness.metrics.registry.get_sample_value
    assert get("edge_engine_requests_total", labels) is None


async def test_text_is_sent_together_and_the_first_and_the_end_at_once(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch, go_on: threading.Event
) -> None:
    monkeypatch.setattr(relay, "JOIN_S", 120)
    sent: list[str] = []
    publish = harness.publisher.publish

    def record(job_id: str, attempt: int, first: int, events: Sequence[Event]) -> bool:
        is_open = publish(job_id, attempt, first, events)
        if text := text_of(events):
            sent.append(text)
            go_on.set()
        return is_open

    monkeypatch.setattr(harness.publisher, "publish", record)
    job_id = await ask(harness, n=50)
    with harness.answering():
        pass
    first, rest = sent
    assert first == LONG_ANSWER[: len(first)] and len(first) < 10
    assert first + rest == LONG_ANSWER[:50]
    assert text_of(await harness.events(job_id)) == LONG_ANSWER[:50]


# --- while the broker is away -----------------------------------------------------


class Unsteady:
    """A channel that fails again and again, before it has written and after."""

    def __init__(self, channel: Publisher) -> None:
        self._channel = channel
        self.n_failed = 0
        self.n_left = 9
        self.n_characters = 0  # that have arrived

    def publish(
        self, job_id: str, attempt: int, first: int, events: Sequence[Event]
    ) -> bool:
        self.n_left -= 1
        if self.n_left >= 0 and self.n_left % 3 == 0:
            self.n_failed += 1
            raise redis.ConnectionError("the question got lost")
        is_open = self._channel.publish(job_id, attempt, first, events)
        if self.n_left >= 0 and self.n_left % 3 == 1:
            self.n_failed += 1
            raise redis.TimeoutError("the reply got lost")
        self.n_characters += len(text_of(events))
        return is_open

    def close(self, job_id: str, attempt: int, event: Closing) -> None:
        self._channel.close(job_id, attempt, event)


async def test_each_text_arrives_once_over_an_unsteady_broker(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RETRY_S", 0.01)
    monkeypatch.setattr(relay, "JOIN_S", 0)
    channel = Unsteady(harness.publisher)
    harness.relay._channel = channel
    tokens, really_run = [], harness.runtime.run

    def run(step: Step) -> list[Sampled]:
        """Each text is sent alone."""
        wait_for(lambda: channel.n_characters == len(tokens))
        sampled = really_run(step)
        tokens.extend(token for each in sampled for token in each.tokens)
        return sampled

    monkeypatch.setattr(harness.runtime, "run", run)
    job_id = await ask(harness, n=8)
    harness.relay.answer()
    events = without_progress(await harness.events(job_id))
    assert channel.n_failed == 6
    assert text_of(events) == LONG_ANSWER[:8]
    assert [type(event) for event in events[:2]] == [Started, Embedded]
    assert isinstance(events[-1], Finished)


async def test_an_unsent_end_is_sent_again(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the first was heard."""
    monkeypatch.setattr(relay, "RETRY_S", 0.01)
    replies, really_end = [], harness.worker.end

    def end(*args):
        replies.append(really_end(*args))
        if len(replies) < 3:
            raise redis.ConnectionError("away")
        return replies[-1]

    monkeypatch.setattr(harness.worker, "end", end)
    job_id = await ask(harness, n=5)
    harness.relay.answer()
    assert replies == [True, False, False]
    events = await harness.events(job_id)
    assert sum(isinstance(event, Finished) for event in events) == 1


async def test_a_broker_that_stays_away_past_the_deadline_frees_the_slot(
    harness: WorkerHarness,
    monkeypatch: pytest.MonkeyPatch,
    skip: Callable[[float], None],
) -> None:
    def publish(*_args):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(relay, "RETRY_S", 0.01)
    monkeypatch.setattr(harness.publisher, "publish", publish)
    await ask_long(harness)
    with harness.answering():
        harness.wait_computing()
        skip(60)
    harness.wait(lambda: not harness.runtime.cells)
    assert harness.claiming.n_running == 0


async def test_a_claim_that_the_broker_refuses_claims_nothing(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(**_options):
        raise redis.ResponseError("no")

    job_id = await ask(harness, n=3)
    monkeypatch.setattr(harness.worker, "claim", claim)
    harness.relay.answer()
    assert harness.claiming.n_running == 0
    assert await harness.state(job_id) == "waiting"


async def test_nobody_dies_of_a_claim_whose_reply_was_lost(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread asks again when the broker is back, and is given the same job."""
    really, lost = harness.worker.claim, []

    def claim(**options):
        found = really(**options)
        if len(lost) < 2:
            lost.append(found)
            raise redis.TimeoutError("away")
        return found

    monkeypatch.setattr(harness.worker, "claim", claim)
    first, second = await ask(harness, "one", n=3), await ask(harness, "two", n=3)
    harness.relay.answer()
    assert await harness.state(first) == "finished"
    assert await harness.state(second) == "waiting"
    assert harness.sync.keys(keys.DEATHS("*")) == []


# --- when it is asked to stop -----------------------------------------------------


async def test_a_short_answer_may_end_within_the_grace(
    harness: WorkerHarness, go_on: threading.Event
) -> None:
    job_id = await ask(harness, n=200, streams=True)
    waiting = await ask(harness, n=5)
    with harness.answering():
        harness.wait_computing()
        harness.relay.drain(grace_s=60)
        go_on.set()
    assert text_of(await harness.events(job_id)) == LONG_ANSWER[:200]
    harness.relay.answer()  # takes nothing new
    assert await harness.state(waiting) == "waiting"


@pytest.mark.parametrize("streams", [True, False])
async def test_an_answer_that_outlasts_the_grace_is_released(
    harness: WorkerHarness, skip: Callable[[float], None], streams: bool
) -> None:
    job_id = await ask_long(harness, streams=streams)

    def n_sent() -> int:
        return harness.sync.xlen(keys.EVENTS(job_id, 1))

    with harness.answering():
        harness.wait(lambda: n_sent() > 5)
        harness.relay.drain(grace_s=30)
        before = n_sent()
        harness.wait(lambda: n_sent() > before + 5)
        skip(30)
    assert harness.runtime.cells == {}
    if streams:
        assert (await harness.events(job_id))[-1] == relay.STOPPED
    else:
        assert harness.claim().attempt == 2


async def test_a_grace_of_nothing_stops_at_once(harness: WorkerHarness) -> None:
    await ask_long(harness)
    with harness.answering():
        harness.wait_computing()
        harness.relay.drain(grace_s=0)
    assert harness.claim().attempt == 2


async def test_jobs_side_by_side_are_all_answered(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_at_once: list[int] = []
    all_submitted = threading.Barrier(5)  # four threads, and the engine's first step
    really_submit, really_run = harness.engine.submit, harness.runtime.run

    def submit(*question):
        ticket = really_submit(*question)
        all_submitted.wait(60)
        return ticket

    def run(step: Step) -> list[Sampled]:
        if not n_at_once:
            all_submitted.wait(60)
        n_at_once.append(len(step.slots))
        return really_run(step)

    monkeypatch.setattr(harness.engine, "submit", submit)
    monkeypatch.setattr(harness.runtime, "run", run)
    ids = [await ask(harness, f"question {n}", n=50) for n in range(4)]
    with harness.answering(4):
        pass
    assert max(n_at_once) >= 2
    for job_id in ids:
        assert text_of(await harness.events(job_id)) == LONG_ANSWER[:50]


async def test_an_engine_that_dies_ends_what_ran(broker_url: str) -> None:
    def die() -> None:
        raise SystemExit

    one = WorkerHarness(broker_url, StubRuntime(faults={"DIE": die}))
    try:
        job_id = await ask(one, "DIE")
        one.relay.answer()
        assert await one.failure(job_id) == "engine_error"
    finally:
        await one.close()

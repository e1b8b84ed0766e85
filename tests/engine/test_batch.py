"""Several prompts of one question: one question to its client, and fair to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge.cache_use import CacheUse
from edge.conversation import MOST_TOGETHER
from edge.engine import batch
from edge.engine.batch import Batch
from edge.engine.engine import Engine
from edge.engine.prepare import Prepared
from edge.engine.scheduler import WORTH_WAITING
from edge.errors import Cancelled, ContextLengthExceeded
from edge.events import Failed, Finished, Prefilling, Started, Token
from edge.images import Picture
from edge.qwen3vl import rerank
from edge.qwen3vl.embedding import unpack
from edge.request import Message, PictureRef, Request, SamplingParams
from edge.stubs.runtime import N_VOCAB, StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.engine.asking import ask, events

PICTURE = Picture(64, 64, bytes(64 * 64 * 3))


class CountingTower(StubTower):
    n_embedded = 0

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        self.n_embedded += 1
        return super().embed(picture, pause)


def score(*documents: str | PictureRef, query: str | PictureRef = "circles") -> Request:
    beginning = (rerank.before_query(rerank.INSTRUCTION), query)
    return Request(
        (
            Message("system", (rerank.SYSTEM,)),
            Message("user", beginning),
            *(Message("user", (rerank.DOCUMENT, each)) for each in documents),
        ),
        SamplingParams(1),
        wants="score",
    )


def embed(*inputs: str) -> Request:
    system, empty = Message("system", ("Represent.",)), Message("user", ())
    others = (Message("user", (each,)) for each in inputs)
    return Request((system, empty, *others), SamplingParams(1), wants="embedding")


def submit(one: Engine, request: Request, *pictures: Picture) -> Batch:
    found = one.submit(request, {p.ref.sha256: p for p in pictures})
    assert isinstance(found, Batch)
    return found


def result(asked: Batch) -> Finished:
    *_, end = events(asked)
    assert isinstance(end, Finished)
    return end


@pytest.mark.parametrize("n_slots", [1, 2, 4])
def test_scores_come_in_the_order_of_the_documents(n_slots: int) -> None:
    texts = [f"{'+' * n} a text" for n in (2, 0, 1, 3, 0)]
    with closing(Engine(StubRuntime(n_slots=n_slots, n_idle=1), StubTower())) as one:
        answer = result(submit(one, score(*texts))).answer
    odds = [2.0, 0.0, 1.0, 3.0, 0.0]
    assert answer.scores == pytest.approx([rerank.probability(n) for n in odds])
    assert (answer.embeddings, answer.text) == ((), "")
    assert answer.usage.completion_tokens == 0


def test_each_input_has_an_embedding_of_length_one() -> None:
    with closing(Engine(StubRuntime(), StubTower())) as one:
        answer = result(submit(one, embed("ab", "cde", "ab"))).answer
    first, second, third = map(unpack, answer.embeddings)
    assert len(first) == N_VOCAB
    assert first == third != second
    assert sum(value * value for value in second) == pytest.approx(1)


def test_pictures_of_query_and_documents_are_encoded_once() -> None:
    other = Picture(96, 64, bytes(96 * 64 * 3))
    tower = CountingTower()
    request = score(PICTURE.ref, other.ref, PICTURE.ref, query=PICTURE.ref)
    with closing(Engine(StubRuntime(n_idle=1), tower)) as one:
        seen = events(submit(one, request, PICTURE, other))
    assert isinstance(seen[0], Started)
    assert seen[0].image_tokens == 4 * 3 + 4 + 6 + 4
    assert len(seen[-1].answer.scores) == 3
    assert seen[-1].answer.usage.image_tokens == seen[0].image_tokens
    assert tower.n_embedded == 2


def test_the_common_beginning_is_computed_once() -> None:
    documents = [f"document {n}" for n in range(6)]
    with closing(Engine(StubRuntime(n_idle=2), StubTower())) as one:
        usage = result(submit(one, score(*documents))).answer.usage
        request = score(*documents)
        prepared = one.check(request)
    n_common = prepared._unused[0][0].siblings.n_common
    # the first two may begin together: the second shares what the first has then
    assert usage.cached_tokens >= 5 * n_common - 2 * WORTH_WAITING
    assert prepared.n_prompt == usage.prompt_tokens - 5 * n_common


@pytest.mark.parametrize("cache", list(CacheUse))
def test_documents_leave_the_cells_of_other_questions(cache: CacheUse) -> None:
    """Of a whole batch at most one sequence stays idle."""
    long = "A question that is much longer than what two prompts have in common."
    with closing(Engine(StubRuntime(n_idle=2), StubTower())) as one:
        events(ask(one, long))
        many = score(*(f"document {n}" for n in range(9)))
        result(submit(one, replace(many, cache=cache)))
        again = events(ask(one, long))[-1].answer.usage
    assert again.cached_tokens > len(long)


def test_a_question_beside_many_documents_begins_at_once() -> None:
    """One slot is left to others, and the next document begins behind them."""
    documents = [f"document {n} " + "x" * 300 for n in range(40)]
    runtime = StubRuntime(n_slots=2, step_s=0.005)
    with closing(Engine(runtime, StubTower(), chunk_tokens=64)) as one:
        many = submit(one, score(*documents))
        assert isinstance(many.next(60), Started)
        for _ in range(3):
            seen = events(ask(one, "hello"))
            assert any(isinstance(event, Token) for event in seen)
        assert isinstance(many.next(60), Prefilling)
        many.cancel(Cancelled("Enough."))


def test_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SHOW_S", 0.0)
    with closing(Engine(StubRuntime(), StubTower())) as one:
        seen = events(submit(one, score("a", "b", "c", "d")))
    started, *progress, end = seen
    assert isinstance(end, Finished)
    done = [event.n_done for event in progress if isinstance(event, Prefilling)]
    assert len(done) == 3
    assert done == sorted(done)
    assert {event.n_tokens for event in progress} == {started.prompt_tokens}


def test_it_is_cancelled_as_a_whole() -> None:
    runtime = StubRuntime(step_s=0.02)
    with closing(Engine(runtime, StubTower(), chunk_tokens=32)) as one:
        many = submit(one, score(*("x" * 200 for _ in range(20))))
        many.next(60)
        many.cancel(Cancelled("Enough."))
        seen = events(many)
        assert seen[-1] == Failed("cancelled", "Enough.")
        wait_for(lambda: not one.n_open)


def test_a_document_that_cannot_be_computed_fails_the_question_once() -> None:
    def fault() -> None:
        raise RuntimeError

    runtime = StubRuntime(faults={"broken": fault})
    with closing(Engine(runtime, StubTower())) as one:
        seen = events(submit(one, score("a", "broken", "c", "d", "e", "f")))
        assert isinstance(seen[-1], Failed)
        wait_for(lambda: not one.n_open)
        assert result(submit(one, score("a"))).answer.scores == (0.5,)


def test_a_document_that_does_not_fit_is_named() -> None:
    with (
        closing(Engine(StubRuntime(n_cells=512), StubTower())) as one,
        pytest.raises(ContextLengthExceeded) as refused,
    ):
        one.check(score("a", "x" * 400))
    assert refused.value.param == "messages[3]"


def test_all_prompts_together_have_a_bound() -> None:
    documents = ["x" * 4000] * (MOST_TOGETHER // 4000 + 1)
    with (
        closing(Engine(StubRuntime(n_cells=8192), StubTower())) as one,
        pytest.raises(ContextLengthExceeded, match="together"),
    ):
        one.check(score(*documents))


def test_what_was_prepared_is_used_once() -> None:
    request = score("a", "b")
    with closing(Engine(StubRuntime(), StubTower())) as one:
        prepared = one.check(request)
        assert isinstance(prepared, Prepared)
        assert prepared.take(score("a")) is None
        assert len(prepared.take(request) or ()) == 2
        assert prepared.take(request) is None


def test_a_common_beginning_is_held_by_each_prompt() -> None:
    with closing(Engine(StubRuntime(), StubTower())) as one:
        first, both = one.check(score("a")), one.check(score("a", "b"))
    assert both.n_held == 2 * first.n_held
    assert first.n_prompt < both.n_prompt < both.n_held


def test_probabilities_of_large_odds() -> None:
    odds: Sequence[float] = (-1000.0, -1.0, 0.0, 1.0, 1000.0)
    found = [rerank.probability(each) for each in odds]
    assert found == pytest.approx([0, 0.2689414, 0.5, 0.7310586, 1])

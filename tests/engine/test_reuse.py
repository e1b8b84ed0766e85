"""The prefix cache: shared prefixes are computed once, within one scope only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine.engine import Engine
from edge.engine.scheduler import WORTH_SHARING, Admission, Scheduler
from edge.engine.sequence import Phase, PicturePiece, Sequence, TextPiece
from edge.engine.slots import Slots
from edge.engine.step import Step, TextSpan
from edge.engine.ticket import Ticket
from edge.events import Finished
from edge.images import Picture
from edge.request import Answer, Message, PictureRef, Request, SamplingParams
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.engine.asking import Pause

SCENES = {"a": (4, 6), "b": (5, 5), "c": (2, 3), "d": (9, 9)}


def sequence(*parts: str, max_tokens: int = 4) -> Sequence:
    """A part that names a scene is its picture, any other is text by characters."""
    pieces, embeddings = [], {}
    for part in parts:
        if part in SCENES:
            rows, columns = SCENES[part]
            pieces.append(PicturePiece(PictureRef(part, 1, 1), rows, columns))
            embeddings[part] = np.full((rows * columns, 1), ord(part), np.float16)
        else:
            pieces.append(TextPiece(tuple(map(ord, part))))
    made = Sequence(tuple(pieces), SamplingParams(max_tokens=max_tokens))
    made.embeddings = embeddings
    return made


def whole(one: Sequence) -> list[tuple[object, int]]:
    """What the cells of its prompt must hold: content and first position of each."""
    cells, position = [], 0
    for piece in one.pieces:
        moves = isinstance(piece, TextPiece)
        cells += [
            (entry, position + n * moves) for n, entry in enumerate(piece.content)
        ]
        position += piece.n_positions
    return cells


def _scene(embedding: np.ndarray) -> str:
    return chr(int(embedding[0]))


class Cache:
    """A unified cache as llama.cpp keeps it: slots refer to cells, which may be shared,
    and a cell without references is free."""

    def __init__(self, n_cells: int) -> None:
        self.n_cells = n_cells
        self.held: dict[int, list[tuple[int, object, int]]] = {}
        self._next = 0

    def admit(self, admission: Admission) -> None:
        slot = admission.slot
        assert slot not in self.held
        source = self.held.get(admission.source, [])
        self.held[slot] = [c for c in source if c[2] < admission.n_positions]
        for evicted in admission.evicted:
            del self.held[evicted]

    def fill(self, step: Step) -> None:
        for span in step.spans:
            is_text = isinstance(span, TextSpan)
            content = span.tokens if is_text else map(_scene, span.embeddings)
            for entry, at in zip(content, span.positions[0].tolist(), strict=True):
                self._put(span.slot, entry, at)
        used = {cell for cells in self.held.values() for cell, *_ in cells}
        assert len(used) <= self.n_cells

    def _put(self, slot: int, content: object, at: int) -> None:
        self.held[slot].append((self._next, content, at))
        self._next += 1

    def seen(self, slot: int) -> list[tuple[object, int]]:
        return [(content, at) for _, content, at in self.held[slot]]


PROMPT = st.lists(
    st.sampled_from(["a", "b", "c", "you are a helpful assistant. ", "what is it?"]),
    min_size=0,
    max_size=5,
)
QUESTION = st.tuples(PROMPT, st.text("xyz", min_size=1, max_size=30))
PLANS = st.lists(st.tuples(QUESTION, st.integers(1, 8)), min_size=1, max_size=14)


@settings(max_examples=300)
@given(
    PLANS,
    st.integers(1, 40),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_every_answer_sees_its_own_prompt_and_all_of_it(
    plans, chunk, n_idle, random
) -> None:
    """Over a simulated cache, with arrivals and ends at random."""
    cache, slots = Cache(260), Slots(3, 260, n_idle)
    scheduler = Scheduler(slots, chunk)
    todo = [sequence(*parts, end, max_tokens=n) for (parts, end), n in plans]
    arriving, ended = list(todo), 0
    for _ in range(5_000):
        if arriving and random.random() < 0.3:
            scheduler.add(arriving.pop())
        for admission in iter(scheduler.admit, None):
            cache.admit(admission)
        step = scheduler.schedule(0.0)
        if step is None:
            if not arriving and not (scheduler.waiting or scheduler.running):
                break
            continue
        cache.fill(step)
        scheduler.advance(step, 0.0, 0.0)
        for slot in (span.slot for span in step.spans if span.wanted):
            running = scheduler.running[slot]
            begin = sum(piece.n_positions for piece in running.pieces)
            answered = [(t, begin + n) for n, t in enumerate(running.generated)]
            assert cache.seen(slot) == [*whole(running), *answered]
            running.generated.append(ord(random.choice("xyz")))
            broken = random.random() < 0.05
            if broken or running.n_generated == running.sampling.max_tokens:
                ended += 1
                for emptied in scheduler.remove(running, retain=not broken):
                    del cache.held[emptied]
    assert ended == len(todo)
    assert slots.n_free_cells == 260
    assert set(cache.held) == set(slots.idle)
    assert slots.n_idle_cells == len({c for h in cache.held.values() for c, *_ in h})


def finish(scheduler: Scheduler, one: Sequence) -> int:
    """Answers it alone; returns how many cells that took."""
    n = 0
    scheduler.add(one)
    scheduler.admit()
    while one.phase is not Phase.DONE:
        step = scheduler.schedule(0.0)
        n += step.n_tokens
        scheduler.advance(step, 0.0, 0.0)
        if one.phase is Phase.DECODE:
            one.generated.append(ord("x"))
            if one.n_generated == one.sampling.max_tokens:
                scheduler.remove(one, retain=True)
    return n


def test_a_follow_up_computes_only_what_is_new() -> None:
    scheduler = Scheduler(Slots(2, 500, n_idle=2), 64)
    first = sequence("a", "what is it?")
    assert finish(scheduler, first) == 24 + 11 + 3
    follow = sequence("a", "what is it?xxxx" + "and why?")
    assert finish(scheduler, follow) == 1 + 8 + 3  # the last x was never fed
    assert follow.n_reused == 24 + 11 + 3


def test_another_question_about_the_picture_shares_the_picture() -> None:
    scheduler = Scheduler(Slots(2, 500, n_idle=2), 64)
    finish(scheduler, sequence("b", "what is it?"))
    other = sequence("b", "how many?")
    finish(scheduler, other)
    assert other.n_reused == 25
    stranger = sequence("a", "what is it?")
    finish(scheduler, stranger)
    assert stranger.n_reused == 0


def test_a_short_common_prefix_is_not_shared() -> None:
    scheduler = Scheduler(Slots(1, 500, n_idle=2), 64)
    same = "x" * (WORTH_SHARING - 1)
    finish(scheduler, sequence(same + "one"))
    other = sequence(same + "two")
    finish(scheduler, other)
    assert other.n_reused == 0


def test_a_question_waits_for_a_prefix_that_is_being_computed() -> None:
    scheduler = Scheduler(Slots(2, 500), 8)
    one, other = sequence("d", "what is it?"), sequence("d", "how many are there?")
    scheduler.add(one)
    scheduler.add(other)
    assert [a.sequence for a in iter(scheduler.admit, None)] == [one]
    for _ in range(10):  # the picture, by eights
        assert not scheduler.admit()
        scheduler.advance(scheduler.schedule(0.0), 0.0, 0.0)
    scheduler.advance(scheduler.schedule(0.0), 0.0, 0.0)
    assert [a.sequence for a in iter(scheduler.admit, None)] == [other]
    assert other.n_reused == 81


@contextmanager
def engine(runtime: StubRuntime, tower: StubTower, **sizes: int) -> Iterator[Engine]:
    with closing(Engine(runtime, tower, **sizes)) as one:
        yield one


def answer(ticket: Ticket) -> Answer:
    while not isinstance(event := ticket.next(timeout_s=60), Finished):
        assert event is not None
    return event.answer


class CountingTower(StubTower):
    n_embedded = 0

    def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
        self.n_embedded += 1
        return super().embed(picture, *pause)


def ask(one: Engine, picture: Picture, text: str, scope: str = "") -> Ticket:
    message = Message("user", (picture.ref, text))
    request = Request((message,), SamplingParams(max_tokens=9), scope=scope)
    return one.submit(request, {picture.ref.sha256: picture})


def grey(level: int, side: int = 160) -> Picture:
    return Picture(side, side, bytes([level]) * (side * side * 3))


def test_a_picture_is_encoded_once_for_several_questions() -> None:
    tower = CountingTower(seconds=0.05)
    with engine(StubRuntime(n_idle=4), tower) as one:
        together = [ask(one, grey(1), f"question {n}") for n in range(4)]
        answers = [answer(ticket) for ticket in together]
        later = answer(ask(one, grey(1), "question 5"))
    assert tower.n_embedded == 1
    assert {a.text for a in answers} == {later.text}
    assert later.usage.memory_image_tokens == later.usage.image_tokens == 25
    assert later.usage.cached_tokens >= 25


def test_the_cache_of_embeddings_is_bounded() -> None:
    tower = CountingTower()
    room = 2 * 25 * tower.width * 2  # for two pictures
    with engine(StubRuntime(), tower, cache_bytes=room) as one:
        for level in (1, 2, 1, 3, 1, 2):
            answer(ask(one, grey(level), "hello"))
    assert tower.n_embedded == 4  # 1 stays in use; 2 made room for 3


def test_a_picture_too_large_for_the_cache_is_answered() -> None:
    with engine(StubRuntime(), StubTower(), cache_bytes=0) as one:
        assert answer(ask(one, grey(1), "hello")).text
        assert answer(ask(one, grey(1), "hello")).text


# --- scopes -------------------------------------------------------------------------

questions = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(1, 2), st.text("ab", max_size=40)),
    min_size=2,
    max_size=8,
)


@settings(max_examples=40)
@given(asked=questions)
def test_nothing_computed_in_one_scope_is_used_in_another(
    asked: list[tuple[str, int, str]],
) -> None:
    """The cached tokens of a question do not depend on other scopes."""
    own: dict[str, list[int]] = {}
    tower = CountingTower()
    with engine(StubRuntime(n_idle=8), tower) as one:
        for scope, level, text in asked:
            n_cached = answer(ask(one, grey(level), text, scope)).usage.cached_tokens
            own.setdefault(scope, []).append(n_cached)
    assert tower.n_embedded == len({(scope, level) for scope, level, _ in asked})
    for scope, reported in own.items():
        with engine(StubRuntime(n_idle=8), StubTower()) as alone:
            expected = [
                answer(ask(alone, grey(level), text)).usage.cached_tokens
                for other, level, text in asked
                if other == scope
            ]
        assert reported == expected


def test_a_picture_is_encoded_again_for_another_scope() -> None:
    tower = CountingTower(seconds=0.05)
    large = grey(1, side=320)  # enough tokens that the second question waits for them
    with engine(StubRuntime(n_idle=4), tower) as one:
        tickets = [ask(one, large, "what?", scope) for scope in ("a", "b", "a")]
        n_cached = [answer(ticket).usage.cached_tokens for ticket in tickets]
    assert tower.n_embedded == 2
    assert n_cached[1] == 0 < n_cached[2]

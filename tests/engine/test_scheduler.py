"""The policy without a model: fair, complete, always within its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.costs import Costs
from edge.engine.scheduler import Rest, Scheduler, Stage
from edge.engine.sequence import Phase, PicturePiece, Sequence, Siblings, TextPiece
from edge.engine.slots import Slots
from edge.engine.step import PictureSpan, Step, TextSpan
from edge.images import Picture
from edge.request import PictureRef, SamplingParams


def sequence(*sizes: int | tuple[int, int], max_tokens: int = 3) -> Sequence:
    """Pieces by size: an int is a text of that many tokens, a pair a picture's grid."""
    pieces, embeddings = [], {}
    for i, size in enumerate(sizes):
        if isinstance(size, int):
            pieces.append(TextPiece(tuple(range(size))))
        else:
            rows, columns = size
            pieces.append(PicturePiece(PictureRef(f"{i}", 1, 1), rows, columns))
            embeddings[f"{i}"] = np.arange(rows * columns, dtype=np.float16)[:, None]
    made = Sequence(tuple(pieces), SamplingParams(max_tokens=max_tokens))
    made.embeddings = embeddings
    return made


def run(
    scheduler: Scheduler, step: Step, seconds: float = 0.0, now: float = 0.0
) -> list[Sequence]:
    """Pretends to compute: what is wanted gets a token; what is complete leaves."""
    scheduler.advance(step, seconds, now)
    done = []
    for span in step.spans:
        for _ in span.wanted:
            running = scheduler.running[span.slot]
            running.generated.append(7)
            if running.n_generated == running.sampling.max_tokens:
                scheduler.remove(running)
                done.append(running)
    return done


def started(scheduler: Scheduler, *sequences: Sequence) -> None:
    for one in sequences:
        scheduler.add(one)
        assert scheduler.admit()


SIZES = st.tuples(
    st.lists(
        st.one_of(st.integers(1, 40), st.tuples(st.integers(1, 6), st.integers(1, 6))),
        max_size=3,
    ),
    st.integers(1, 30),
    st.integers(1, 5),
)


@given(st.lists(SIZES, min_size=1, max_size=8), st.integers(1, 32))
def test_every_sequence_finishes_and_no_bound_is_broken(plans, chunk) -> None:
    slots = Slots(4, 200)
    scheduler = Scheduler(slots, chunk)
    todo = [sequence(*sizes, last, max_tokens=n) for sizes, last, n in plans]
    for one in todo:
        scheduler.add(one)
    finished: list[Sequence] = []
    for _ in range(10_000):
        scheduler.admit()
        step = scheduler.schedule(0.0)
        if step is None:
            break
        assert slots.n_free_cells >= 0
        assert 0 < step.n_tokens <= chunk + 4
        for span in step.spans:
            assert span.positions.shape == (4, span.n_tokens)
        finished += run(scheduler, step)
    assert set(finished) == set(todo)
    assert slots.n_free_slots == 4
    assert slots.n_free_cells == 200
    assert not scheduler.waiting and not scheduler.running


@given(SIZES, st.integers(1, 16), st.integers(1, 16))
def test_the_chunk_does_not_change_what_is_computed(plan, one, other) -> None:
    def cells(chunk: int) -> list[tuple[object, ...]]:
        """Content and position of each cell, in order."""
        sizes, last, n = plan
        scheduler, computed = Scheduler(Slots(1, 200), chunk), []
        started(scheduler, sequence(*sizes, last, max_tokens=n))
        while step := scheduler.schedule(0.0):
            for span in step.spans:
                is_text = isinstance(span, TextSpan)
                content = span.tokens if is_text else span.embeddings[:, 0].tolist()
                at = map(tuple, span.positions.T.tolist())
                computed += zip(content, at, strict=True)
            run(scheduler, step)
        return computed

    assert cells(one) == cells(other)


def test_the_head_of_the_queue_is_never_overtaken() -> None:
    scheduler = Scheduler(Slots(4, 100), 16)
    long, big, small = (sequence(60), sequence((5, 10), 1), sequence(2))
    for one in (long, big, small):
        scheduler.add(one)
    # `small` would fit, but `big` is before it
    assert [a.sequence for a in iter(scheduler.admit, None)] == [long]
    scheduler.remove(long)
    assert [a.sequence for a in iter(scheduler.admit, None)] == [big, small]


def test_who_waits_for_a_prefix_is_passed_by_others() -> None:
    """That wait is bounded: it ends with the prompt that is being computed."""
    scheduler = Scheduler(Slots(4, 2_000), 16)
    first, same, other = sequence(900), sequence(899), sequence((5, 10), 1)
    for one in (first, same, other):
        scheduler.add(one)
    assert [a.sequence for a in iter(scheduler.admit, None)] == [first, other]
    while first.phase is not Phase.DECODE:
        step = scheduler.schedule(0.0)
        assert step
        run(scheduler, step)
    admission = scheduler.admit()
    assert admission and admission.sequence is same
    assert admission.n_positions > 800


def test_forced_tokens_of_answers_count_for_the_size_of_a_piece() -> None:
    costs = Costs({n: 1000 * n / 400 for n in (1, 16, 64, 256)})
    scheduler = Scheduler(Slots(4, 4_000), 256, costs=costs)
    answering = [sequence(1, max_tokens=99) for _ in range(3)]
    started(scheduler, *answering)
    first = scheduler.schedule(0.0)
    assert first
    run(scheduler, first, 0.01, now=1.0)
    for one in answering:
        one.generated += [7] * 15  # with the one before, of a grammar
    started(scheduler, sequence(2_000))
    step = scheduler.schedule(1.0)
    assert step
    assert 48 < step.n_tokens <= 0.3 * 400


def test_texts_pictures_and_answers_share_a_step() -> None:
    scheduler = Scheduler(Slots(3, 1000), 40)
    started(scheduler, sequence(5, (3, 3), 20), sequence((8, 8), 1))
    sizes = []
    for _ in range(4):
        step = scheduler.schedule(0.0)
        sizes.append([(span.slot, span.n_tokens) for span in step.spans])
        run(scheduler, step, seconds=0.001)
    assert sizes == [
        [(0, 5), (0, 9), (0, 20), (1, 6)],
        [(0, 1), (1, 32)],
        [(0, 1), (1, 26), (1, 1)],
        [(1, 1)],
    ]


def test_every_answer_is_in_every_step() -> None:
    scheduler = Scheduler(Slots(4, 1000), 8)
    talkers = [sequence(1, max_tokens=100) for _ in range(3)]
    started(scheduler, *talkers)
    run(scheduler, scheduler.schedule(0.0))
    started(scheduler, sequence((8, 8), 1))
    for _ in range(8):
        step = scheduler.schedule(0.0)
        assert [span.n_tokens for span in step.spans] == [1, 1, 1, 8]
        run(scheduler, step)


def test_a_picture_moves_positions_by_its_longer_side_only() -> None:
    one = sequence(2, (2, 3), 2, max_tokens=2)
    scheduler = Scheduler(Slots(1, 100), 100)
    started(scheduler, one)
    step = scheduler.schedule(0.0)
    before, picture, behind = step.spans
    assert before.positions[0].tolist() == [0, 1]
    assert isinstance(picture, PictureSpan)
    assert picture.positions.tolist() == [
        [2, 2, 2, 2, 2, 2],
        [2, 2, 2, 3, 3, 3],
        [2, 3, 4, 2, 3, 4],
        [0, 0, 0, 0, 0, 0],
    ]
    assert (behind.start, behind.n_tokens, behind.wanted) == (5, 2, (1,))
    run(scheduler, step)
    assert [span.start for span in scheduler.schedule(0.0).spans] == [7]


@pytest.mark.parametrize("phase", ["waiting", "prefill", "decode"])
def test_a_removed_sequence_leaves_nothing_behind(phase: str) -> None:
    slots = Slots(1, 100)
    scheduler = Scheduler(slots, 4)
    one = sequence(10, max_tokens=5)
    scheduler.add(one)
    if phase != "waiting":
        scheduler.admit()
    if phase == "decode":
        while one.phase is Phase.PREFILL:
            run(scheduler, scheduler.schedule(0.0))
    scheduler.remove(one)
    assert one.phase is Phase.DONE
    assert (slots.n_free_slots, slots.n_free_cells) == (1, 100)
    assert scheduler.schedule(0.0) is None


# --- the encoder ---------------------------------------------------------------------


def asking(*names: str, scope: str = "") -> Sequence:
    """A sequence whose pictures are not encoded yet."""
    pieces = [PicturePiece(PictureRef(name, 32, 32), 1, 1) for name in names]
    made = Sequence((*pieces, TextPiece((1, 2))), SamplingParams(max_tokens=2), scope)
    made.pixels = {name: Picture(32, 32, bytes(3 * 32 * 32)) for name in names}
    return made


def encoded(scheduler: Scheduler) -> list[Sequence]:
    """Pretends to encode the current picture; returns those that are complete then."""
    [name] = {scheduler.pictures.current.key.sha256}
    complete = []
    for one in scheduler.end_picture():
        one.receive(name, np.zeros((1, 1), np.float16))
        if not one.missing_pictures:
            scheduler.add(one)
            complete.append(one)
    return complete


def next_name(scheduler: Scheduler) -> str | None:
    """The picture that the encoder begins with now, if it begins with one."""
    work = scheduler.next_work(0.0)
    return work.job.key.sha256 if isinstance(work, Stage) and work.job else None


def test_one_picture_is_encoded_at_a_time_in_turn_for_each_question() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    video, photo, pages = asking(*"abc"), asking("p"), asking(*"xy")
    for each in (video, photo, pages):
        scheduler.add(each)
    order, complete = [], []
    while name := next_name(scheduler):
        assert next_name(scheduler) is None
        order.append(name)
        complete += encoded(scheduler)
    assert order == ["a", "p", "x", "b", "y", "c"]
    assert complete == list(scheduler.waiting) == [photo, pages, video]


def test_the_next_picture_waits_until_no_prompt_is_being_computed() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    for name in "ab":
        scheduler.add(asking(name))
    assert next_name(scheduler) == "a"
    encoded(scheduler)
    assert scheduler.admit()
    assert next_name(scheduler) is None
    run(scheduler, scheduler.schedule(0.0))
    assert not scheduler.prefilling
    assert next_name(scheduler) == "b"


def test_a_picture_waits_for_no_prompt_that_came_after_it() -> None:
    """Others who ask again and again may always have a prompt in work."""
    scheduler = Scheduler(Slots(4, 400), 8)
    scheduler.add(sequence(20, max_tokens=1))
    assert scheduler.admit()
    scheduler.add(asking("a"))
    assert next_name(scheduler) is None
    while scheduler.prefilling:
        scheduler.add(sequence(20, max_tokens=1))
        while scheduler.admit():
            pass
        assert next_name(scheduler) in (None, "a")
        if scheduler.pictures.current:
            return
        run(scheduler, scheduler.schedule(0.0))
    raise AssertionError("it has never begun")


@pytest.mark.parametrize("is_one_of_many", [False, True])
def test_the_prompts_of_one_request_hold_up_only_its_own_pictures(
    *, is_one_of_many: bool
) -> None:
    """There may be a hundred, one always behind the other."""
    scheduler = Scheduler(Slots(4, 400), 8)
    many, picture = [sequence(20, max_tokens=1) for _ in range(2)], asking("a")
    for one in many:
        one.siblings = Siblings(0)
        scheduler.add(one)
        assert scheduler.admit()
    if is_one_of_many:
        picture.siblings = many[0].siblings
    scheduler.add(picture)
    assert next_name(scheduler) == (None if is_one_of_many else "a")


def test_equal_pictures_of_one_scope_are_encoded_once() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    one, stranger, other = asking("a"), asking("a", scope="x"), asking("a")
    for each in (one, stranger, other):
        scheduler.add(each)
    assert next_name(scheduler) == "a"
    assert encoded(scheduler) == [one, other]
    assert scheduler.next_work(0.0).job.key == ("x", "a")


def test_a_picture_is_abandoned_when_the_last_question_about_it_ends() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    one, other, last = asking("a"), asking("a"), asking("b")
    for each in (one, other, last):
        scheduler.add(each)
    assert not scheduler.pictures.is_abandoned
    assert next_name(scheduler) == "a"
    scheduler.remove(one)
    assert not scheduler.pictures.is_abandoned
    scheduler.remove(other)
    assert scheduler.pictures.is_abandoned
    assert next_name(scheduler) is None  # the encoder has to end first
    assert scheduler.end_picture() == []
    assert next_name(scheduler) == "b"


def answering(*, alternates: bool = True, n: int = 1) -> Scheduler:
    """With `n` answers, whose steps take 50 ms, and a waiting picture. It is 10.0."""
    costs = Costs({1: 50.0, 20: 50.0, 100: 200.0}, {1: 60.0})
    scheduler = Scheduler(Slots(4, 500), 96, alternates=alternates, costs=costs)
    started(scheduler, *(sequence(2, max_tokens=50) for _ in range(n)))
    run(scheduler, scheduler.schedule(0.0), 0.05, 10.0)
    scheduler.add(asking("a"))
    return scheduler


def works(
    scheduler: Scheduler,
    n: int,
    now: float = 10.0,
    stage_s: float = 0.06,
    step_s: float = 0.05,
) -> list[str]:
    """What is computed next; stages and steps take what was measured."""
    seen = []
    for _ in range(n):
        work = scheduler.next_work(now)
        assert not isinstance(work, Rest)
        if isinstance(work, Stage):
            assert scheduler.encoder_has_cores
            assert scheduler.next_work(now) == Rest(None)
            now += stage_s
            scheduler.end_stage(stage_s)
            seen.append("stage")
        else:
            assert not work.beside_encoder
            now += step_s
            run(scheduler, work, step_s, now)
            seen.append(f"step {work.n_tokens}")
    return seen


def test_as_many_stages_as_fit_into_the_pause_come_before_a_step() -> None:
    cycle = ["stage"] * 4 + ["step 2"]  # 4 x 60 + 50 <= 300 ms
    assert works(answering(n=2), 10) == cycle * 2


def test_without_answers_the_encoder_never_waits() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    scheduler.add(asking("a"))
    assert works(scheduler, 20) == ["stage"] * 20


def test_before_the_first_measurement_and_where_none_fits_one_stage_comes() -> None:
    scheduler = Scheduler(Slots(4, 100), 8)
    started(scheduler, sequence(2, max_tokens=50))
    run(scheduler, scheduler.schedule(0.0), 0.05, 10.0)
    scheduler.add(asking("a"))
    assert works(scheduler, 3)[:1] == ["stage"]
    slow = Scheduler(Slots(4, 100), 8, costs=Costs({1: 500.0}, {1: 400.0}))
    started(slow, sequence(2, max_tokens=50))
    run(slow, slow.schedule(0.0), 0.5, 10.0)
    slow.add(asking("a"))
    assert works(slow, 4, stage_s=0.4, step_s=0.5) == ["stage", "step 1"] * 2


def test_a_prompt_that_comes_meanwhile_waits_for_one_stage_at_most() -> None:
    scheduler = answering()
    assert works(scheduler, 1) == ["stage"]
    started(scheduler, sequence(100))
    seen = works(scheduler, 4, now=10.06)
    assert seen == ["step 97", "stage", "step 5", "stage"]


def test_a_prompt_waits_for_the_step_after_a_long_last_stage() -> None:
    """A step of two answers comes first: 16 tokens more would make the pause longer."""
    scheduler = answering(n=2)
    assert works(scheduler, 5) == ["stage"] * 4 + ["step 2"]
    assert works(scheduler, 1, now=10.29) == ["stage"]
    [about_it] = encoded(scheduler)
    scheduler.remove(about_it)
    started(scheduler, sequence(80))
    assert works(scheduler, 2, now=10.55) == ["step 2", "step 82"]


def test_what_follows_a_long_wait_is_a_small_piece() -> None:
    scheduler = answering()
    assert works(scheduler, 4) == ["stage"] * 4
    [about_it] = encoded(scheduler)
    scheduler.remove(about_it)
    started(scheduler, sequence(80))
    assert works(scheduler, 2, now=10.24) == ["step 17", "step 65"]


def test_a_tower_that_cannot_pause_computes_beside_steps() -> None:
    scheduler = answering(alternates=False)
    assert not scheduler.schedule(10.0).beside_encoder
    assert next_name(scheduler) == "a"
    assert not scheduler.encoder_has_cores
    first = scheduler.next_work(10.0)  # nothing was measured beside the encoder yet
    assert first == Rest(pytest.approx(0.3))
    step = scheduler.next_work(10.3)
    assert step.beside_encoder
    run(scheduler, step, 0.1, 10.4)
    assert scheduler.next_work(10.5) == Rest(pytest.approx(0.1))
    started(scheduler, sequence(40))  # a prompt does not rest
    assert scheduler.next_work(10.5).n_tokens == 17


def test_one_of_several_prompts_of_a_request_comes_after_the_others() -> None:
    """A question that comes later waits for the present step only."""
    scheduler = Scheduler(Slots(4, 400), 30)
    siblings = Siblings(0)
    many = [sequence(n, max_tokens=1) for n in (40, 21, 22)]
    for one in many:
        one.siblings = siblings
    started(scheduler, *many)
    run(scheduler, scheduler.schedule(0.0))
    started(scheduler, sequence(40, max_tokens=1))
    found = []
    while step := scheduler.schedule(0.0):
        found.append([(span.slot, span.n_tokens) for span in step.spans])
        run(scheduler, step)
    # it shares the 30 tokens that the first has by then
    assert found == [[(3, 10), (0, 10), (1, 10)], [(1, 11), (2, 19)], [(2, 3)]]

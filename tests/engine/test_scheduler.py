"""The policy, step by step, without a model: fair, complete, never over its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.batch import PictureBatch, TokenBatch
from edge.engine.scheduler import Scheduler
from edge.engine.sequence import Phase, PicturePiece, Sequence, TextPiece
from edge.engine.slots import Slots
from edge.request import PictureRef, SamplingParams


def sequence(*sizes: int | tuple[int, int], max_tokens: int = 3) -> Sequence:
    """Pieces by size: an int is a text of so many tokens, a pair a picture's grid."""
    pieces, embeddings = [], {}
    for i, size in enumerate(sizes):
        if isinstance(size, int):
            pieces.append(TextPiece(tuple(range(size))))
        else:
            rows, columns = size
            pieces.append(PicturePiece(PictureRef(f"{i}", 1, 1), rows, columns))
            embeddings[f"{i}"] = np.arange(rows * columns, dtype=np.float32)[:, None]
    made = Sequence(tuple(pieces), SamplingParams(max_tokens=max_tokens))
    made.embeddings = embeddings
    return made


def run(scheduler: Scheduler, batch: TokenBatch | PictureBatch) -> list[Sequence]:
    """Pretends to compute: every sampled row gets a token; the full ones leave."""
    scheduler.advance(batch)
    done = []
    for row in getattr(batch, "rows", ()):
        if row.sampled:
            running = scheduler.running[row.slot]
            running.generated.append(7)
            if running.n_generated == running.sampling.max_tokens:
                scheduler.remove(running)
                done.append(running)
    return done


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
        batch = scheduler.schedule()
        if batch is None:
            break
        assert slots.n_free_cells >= 0
        if isinstance(batch, TokenBatch):
            assert len(batch.rows) <= chunk + 4
        else:
            assert 0 < len(batch.embeddings) <= chunk
            assert batch.positions.shape == (4, len(batch.embeddings))
        finished += run(scheduler, batch)
    assert set(finished) == set(todo)
    assert slots.n_free_slots == 4
    assert slots.n_free_cells == 200
    assert not scheduler.waiting and not scheduler.running


@given(SIZES, st.integers(1, 16), st.integers(1, 16))
def test_the_chunk_does_not_change_what_is_computed(plan, one, other) -> None:
    def cells(chunk: int) -> list[tuple[object, ...]]:
        """(token or embedding, position) of each cell, in order."""
        sizes, last, n = plan
        scheduler, computed = Scheduler(Slots(1, 200), chunk), []
        scheduler.add(sequence(*sizes, last, max_tokens=n))
        scheduler.admit()
        while batch := scheduler.schedule():
            if isinstance(batch, TokenBatch):
                computed += [(row.token, row.position) for row in batch.rows]
            else:
                vectors, places = batch.embeddings[:, 0], batch.positions.T
                computed += [
                    (float(v), *p)
                    for v, p in zip(vectors, places.tolist(), strict=True)
                ]
            run(scheduler, batch)
        return computed

    assert cells(one) == cells(other)


def test_first_come_first_served_and_nobody_overtakes_the_head() -> None:
    scheduler = Scheduler(Slots(4, 100), 16)
    long, big, small = (sequence(60), sequence((5, 10), 1), sequence(2))
    for one in (long, big, small):
        scheduler.add(one)
    # `small` would fit, but `big` is before it
    assert [a.sequence for a in iter(scheduler.admit, None)] == [long]
    scheduler.remove(long)
    assert [a.sequence for a in iter(scheduler.admit, None)] == [big, small]


def test_running_answers_go_on_while_a_picture_is_prefilled() -> None:
    scheduler = Scheduler(Slots(2, 1000), 8)
    talker = sequence(1, max_tokens=100)
    scheduler.add(talker)
    scheduler.admit()
    run(scheduler, scheduler.schedule())
    scheduler.add(sequence((8, 8), 1))
    scheduler.admit()
    kinds = []
    for _ in range(16):
        batch = scheduler.schedule()
        kinds.append(isinstance(batch, PictureBatch))
        run(scheduler, batch)
    assert kinds == [True, False] * 8


def test_a_picture_moves_positions_by_its_longer_side_only() -> None:
    one = sequence(2, (2, 3), 2, max_tokens=2)
    scheduler = Scheduler(Slots(1, 100), 100)
    scheduler.add(one)
    scheduler.admit()
    text = scheduler.schedule()
    assert [row.position for row in text.rows] == [0, 1]
    run(scheduler, text)
    picture = scheduler.schedule()
    assert picture.positions.tolist() == [
        [2, 2, 2, 2, 2, 2],
        [2, 2, 2, 3, 3, 3],
        [2, 3, 4, 2, 3, 4],
        [0, 0, 0, 0, 0, 0],
    ]
    run(scheduler, picture)
    rest = scheduler.schedule()
    assert [(row.position, row.sampled) for row in rest.rows] == [(5, False), (6, True)]
    run(scheduler, rest)
    assert [row.position for row in scheduler.schedule().rows] == [7]


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
            run(scheduler, scheduler.schedule())
    scheduler.remove(one)
    assert one.phase is Phase.DONE
    assert (slots.n_free_slots, slots.n_free_cells) == (1, 100)
    assert scheduler.schedule() is None

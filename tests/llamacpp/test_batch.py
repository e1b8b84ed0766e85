"""How a step becomes batches of llama.cpp, and how many threads compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.step import PictureSpan, Span, Step, TextSpan
from edge.llamacpp.batch import group_by_kind, native_batch
from edge.llamacpp.runtime import threads_for


def text(slot: int) -> TextSpan:
    return TextSpan(slot, 0, (1, 2))


def picture(slot: int) -> PictureSpan:
    return PictureSpan(slot, np.zeros((3, 4), np.float16), np.zeros((4, 3), np.int32))


SPANS = st.lists(
    st.builds(
        lambda make, n: make(n), st.sampled_from([text, picture]), st.integers(0, 3)
    ),
    max_size=10,
)


@given(SPANS)
def test_groups_are_of_one_kind_and_keep_the_order_of_each_slot(spans) -> None:
    groups = group_by_kind(spans)
    assert all(len({type(span) for span in group}) == 1 for group in groups)
    flat = [span for group in groups for span in group]
    for slot in range(4):
        ordered = [span for span in flat if span.slot == slot]
        assert ordered == [span for span in spans if span.slot == slot]
    assert len(flat) == len(spans)


@pytest.mark.parametrize(
    ("spans", "n_groups"),
    [
        ([], 0),
        ([text(0), text(1)], 1),
        ([text(0), text(1), picture(1), text(2), picture(3)], 2),
        ([text(0), picture(1), text(1), picture(2), text(2)], 3),
        ([text(0), picture(0), text(0)], 3),
    ],
)
def test_there_are_as_few_groups_as_possible(spans: list[Span], n_groups: int) -> None:
    assert len(group_by_kind(spans)) == n_groups


def test_pictures_of_several_slots_share_a_batch() -> None:
    """Positions are section-major: all times first, then all heights."""
    spans = [
        PictureSpan(
            slot, np.full((2, 4), slot, np.float16), np.full((4, 2), slot, np.int32)
        )
        for slot in (5, 6)
    ]
    batch = native_batch(spans)
    assert batch.n_tokens == 4
    assert batch.pos[:16] == [5, 5, 6, 6] * 4
    assert batch.embd[:16] == [5.0] * 8 + [6.0] * 8
    assert [batch.seq_id[n][0] for n in range(4)] == [5, 5, 6, 6]


def test_wanted_tokens_of_several_slots_are_marked() -> None:
    spans = [
        TextSpan(0, 7, (1,), wanted=(0,)),
        TextSpan(1, 0, (2, 3, 4), wanted=(1, 2)),
    ]
    batch = native_batch(spans)
    assert batch.token[:4] == [1, 2, 3, 4]
    assert batch.pos[:4] == [7, 0, 1, 2]
    assert batch.logits[:4] == [1, 0, 1, 1]


@pytest.mark.parametrize(("n", "beside"), [(1, 1), (2, 1), (3, 2), (4, 2), (16, 8)])
def test_the_encoder_leaves_half_of_the_cores(n: int, beside: int) -> None:
    assert threads_for(Step((text(0),)), n) == n
    assert threads_for(Step((text(0),), beside_encoder=True), n) == beside

"""Slots never give out more than there is, whatever the order of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.slots import Slots


@given(st.lists(st.integers(1, 60), max_size=40), st.randoms())
def test_what_is_reserved_never_exceeds_what_there_is(sizes, random) -> None:
    slots, held = Slots(4, 100), {}
    for size in sizes:
        if slots.can_allocate(size):
            held[slots.allocate(size)] = size
        elif held:
            slot = random.choice(sorted(held))
            slots.free(slot)
            del held[slot]
        assert slots.n_free_cells == 100 - sum(held.values()) >= 0
        assert slots.n_free_slots == 4 - len(held) >= 0


def test_each_slot_is_given_out_once() -> None:
    slots = Slots(3, 30)
    assert {slots.allocate(1) for _ in range(3)} == {0, 1, 2}
    assert not slots.can_allocate(1)


def test_a_slot_without_cells_is_not_offered() -> None:
    slots = Slots(2, 10)
    slots.allocate(8)
    assert slots.can_allocate(2)
    assert not slots.can_allocate(3)


def test_a_slot_cannot_be_freed_twice() -> None:
    slots = Slots(1, 10)
    slot = slots.allocate(5)
    slots.free(slot)
    with pytest.raises(KeyError):
        slots.free(slot)

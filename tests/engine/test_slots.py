"""Reservations of slots and cells stay within their bounds, in any order of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.slots import Slots

PROMPT = list(range(40))


@given(st.lists(st.integers(1, 60), max_size=40), st.randoms())
def test_reservations_never_exceed_the_cells(sizes, random) -> None:
    slots, held = Slots(4, 100), {}
    for size in sizes:
        if claim := slots.claim(size):
            held[claim.slot] = size
        elif held:
            slot = random.choice(sorted(held))
            slots.free(slot)
            del held[slot]
        assert slots.n_free_cells == 100 - sum(held.values()) >= 0
        assert slots.n_free_slots == 4 - len(held) >= 0


def test_each_slot_is_given_out_once() -> None:
    slots = Slots(3, 30)
    assert {slots.claim(1).slot for _ in range(3)} == {0, 1, 2}
    assert slots.claim(1) is None


def test_a_slot_without_cells_is_not_given_out() -> None:
    slots = Slots(2, 10)
    slots.claim(8)
    assert slots.claim(3) is None
    assert slots.claim(2)


def test_a_slot_cannot_be_freed_twice() -> None:
    slots = Slots(1, 10)
    slot = slots.claim(5).slot
    slots.free(slot)
    with pytest.raises(KeyError):
        slots.free(slot)


def kept(slots: Slots, content: list[int | str]) -> int:
    """A slot that rests with `content`."""
    slot = slots.claim(len(content) + 5).slot
    assert slots.retain(slot, content) == ()
    return slot


def test_idle_slots_are_evicted_oldest_first() -> None:
    slots = Slots(1, 100, n_idle=3)
    first, second, third = (kept(slots, PROMPT[:30]) for _ in range(3))
    assert (slots.n_free_cells, slots.n_idle_cells) == (100, 90)
    slots.touch(first)
    claim = slots.claim(35)
    assert claim.evicted == (second,)
    slots.free(claim.slot)
    assert slots.claim(100).evicted == (third, first)


def test_the_number_of_idle_slots_is_bounded() -> None:
    slots = Slots(1, 100, n_idle=1)
    old = kept(slots, PROMPT[:10])
    slot = slots.claim(20).slot
    assert slots.retain(slot, PROMPT[:20]) == (old,)
    assert list(slots.idle) == [slot]


def test_without_idle_slots_nothing_is_retained() -> None:
    slots = Slots(2, 100)
    slot = slots.claim(20).slot
    assert slots.retain(slot, PROMPT[:20]) == (slot,)
    assert (slots.n_free_slots, slots.n_free_cells, slots.n_idle_cells) == (2, 100, 0)


def test_shared_cells_are_reserved_once() -> None:
    slots = Slots(3, 100, n_idle=1)
    source = kept(slots, PROMPT)
    claims = [slots.claim(60, source, 40) for _ in range(3)]
    assert [claim.evicted for claim in claims] == [(), (), ()]
    assert slots.n_free_cells == 0
    for claim in claims:
        slots.free(claim.slot)
    assert (slots.n_free_cells, slots.n_idle_cells) == (100, 40)


def test_shared_cells_survive_the_eviction_of_their_source() -> None:
    slots = Slots(1, 100, n_idle=1)
    source = kept(slots, PROMPT)
    claim = slots.claim(90, source, 20)
    assert claim.evicted == (source,)
    assert claim.slot != source
    slots.free(claim.slot)
    assert (slots.n_free_cells, slots.n_idle_cells) == (100, 0)


def test_shared_cells_survive_the_end_of_a_running_source() -> None:
    slots = Slots(2, 100)
    source = slots.claim(50).slot
    claim = slots.claim(80, source, 40)
    assert slots.n_free_cells == 10
    slots.free(source)
    assert slots.n_free_cells == 20
    slots.free(claim.slot)
    assert slots.n_free_cells == 100

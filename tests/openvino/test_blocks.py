"""Blocks: tokens of different slots never overlap, and no block is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EngineError
from edge.openvino.blocks import BLOCK, Blocks, n_blocks

N_SLOTS = 4
steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "share", "rewind", "release"]),
        st.integers(0, N_SLOTS - 1),
        st.integers(0, N_SLOTS - 1),
        st.integers(0, 3 * BLOCK),
    ),
    max_size=40,
)


@given(steps)
def test_blocks_are_shared_whole_and_given_back(story: list) -> None:
    blocks = Blocks(1000)
    # What each place of a block holds, as the runtime would write and copy it.
    cells: dict[tuple[int, int], object] = {}
    written: dict[int, list[object]] = {}
    for n, (what, slot, source, length) in enumerate(story):
        if what == "release" and slot in written:
            blocks.release(slot)
            del written[slot]
        elif what == "share" and slot not in written and source in written:
            if copy := blocks.share(source, slot, length):
                old, new = copy
                cells |= {(new, i): cells.get((old, i)) for i in range(BLOCK)}
            written[slot] = written[source][:length]
        elif what == "rewind" and slot in written:
            if copy := blocks.rewind(slot, length):
                old, new = copy
                cells |= {(new, i): cells.get((old, i)) for i in range(BLOCK)}
            del written[slot][length:]
        elif what == "append":
            if slot not in written:
                blocks.open(slot)
                written[slot] = []
            at = len(written[slot])
            blocks.append(slot, range(at, at + length))
            for i in range(at, at + length):
                place = blocks.of(slot)[i // BLOCK], i % BLOCK
                cells[place] = token = (n, i)
                written[slot].append(token)
        for each, tokens in written.items():
            assert blocks.n_tokens(each) == len(tokens)
            held = blocks.of(each)
            assert len(held) == -(-len(tokens) // BLOCK)
            assert [
                cells[held[i // BLOCK], i % BLOCK] for i in range(len(tokens))
            ] == tokens
    for slot in written:
        blocks.release(slot)
    assert sorted(blocks._free) == list(range(1000))


def test_the_promised_number_of_tokens_fits() -> None:
    """However awkwardly they are divided: the policy counts tokens, not blocks."""
    n_cells = 512
    blocks = Blocks(n_blocks(n_cells, N_SLOTS))
    blocks.open(0)
    blocks.append(0, range(BLOCK + 1))
    for slot in range(1, N_SLOTS):
        blocks.share(0, slot, BLOCK + 1)
    rest = n_cells - (BLOCK + 1)
    for slot in range(1, N_SLOTS):
        blocks.append(slot, range(rest // (N_SLOTS - 1)))


def test_a_token_too_many_is_an_error() -> None:
    blocks = Blocks(2)
    blocks.open(0)
    blocks.append(0, range(2 * BLOCK))
    with pytest.raises(EngineError, match="full"):
        blocks.append(0, [2 * BLOCK])

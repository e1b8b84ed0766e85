"""Which blocks of the KV cache hold the tokens of which slot. Data, no tensors.

A slot fills blocks of BLOCK tokens in order. Slots with a common prefix share its whole
blocks; the block in which they differ is copied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

from edge.errors import EngineError

BLOCK: Final = 32  # tokens; the CPU plugin's kernels are made for it


def n_blocks(n_cells: int, n_sequences: int) -> int:
    """Enough for `n_cells` tokens, where shared ones count once: each sequence may
    leave room in its last block, and in the one that was copied for it."""
    return n_cells // BLOCK + 2 * n_sequences


class Blocks:
    """`n` blocks, and the positions of the tokens of each open slot."""

    def __init__(self, n: int) -> None:
        self._free = list(range(n - 1, -1, -1))
        self._users: Counter[int] = Counter()
        self._held: dict[int, list[int]] = {}
        self._positions: dict[int, list[int]] = {}

    def open(self, slot: int) -> None:
        self._held[slot], self._positions[slot] = [], []

    def of(self, slot: int) -> list[int]:
        """Numbers of blocks, in order."""
        return self._held[slot]

    def n_tokens(self, slot: int) -> int:
        return len(self._positions[slot])

    def append(self, slot: int, positions: Iterable[int]) -> None:
        """Adds tokens at these positions. Raises EngineError when no block is free."""
        self._positions[slot] += positions
        held = self._held[slot]
        while len(held) * BLOCK < self.n_tokens(slot):
            held.append(self._take())

    def share(self, source: int, slot: int, n_positions: int) -> tuple[int, int] | None:
        """Lets an empty slot begin with the tokens of `source` before that position.
        Returns a block to copy and the block to copy it into, if there is one."""
        positions = self._positions[source]
        before = positions[: bisect_left(positions, n_positions)]
        n_whole, n_rest = divmod(len(before), BLOCK)
        whole = self._held[source][:n_whole]
        self._users.update(whole)
        self._held[slot], self._positions[slot] = whole, before
        if not n_rest:
            return None
        whole.append(self._take())
        return self._held[source][n_whole], whole[-1]

    def rewind(self, slot: int, position: int) -> tuple[int, int] | None:
        """Removes the tokens at `position` and after it. Returns a block to copy and
        the block to copy it into, if the last one is shared with another slot."""
        held = self._held[slot]
        positions = self._positions[slot]
        del positions[bisect_left(positions, position) :]
        n_whole, n_rest = divmod(len(positions), BLOCK)
        unused = held[n_whole + bool(n_rest) :]
        self._held[slot] = held = held[: n_whole + bool(n_rest)]
        self._drop(unused)
        if not n_rest or self._users[held[-1]] == 1:
            return None
        shared, held[-1] = held[-1], self._take()
        self._users[shared] -= 1
        return shared, held[-1]

    def release(self, slot: int) -> None:
        del self._positions[slot]
        self._drop(self._held.pop(slot))

    def _drop(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            self._users[block] -= 1
            if not self._users[block]:
                self._free.append(block)

    def _take(self) -> int:
        if not self._free:
            raise EngineError("The cache is full.")
        block = self._free.pop()
        self._users[block] = 1
        return block

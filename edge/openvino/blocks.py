"""Which blocks of the cache hold whose tokens. Data, no tensors.

A sequence fills blocks of BLOCK tokens in their order. Whole blocks are shared between
sequences that begin in the same way; the one in which they part is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from edge.errors import EngineError

BLOCK: Final = 32  # tokens; the CPU plugin's kernels are made for it


def n_blocks(n_cells: int, n_sequences: int) -> int:
    """Enough for `n_cells` tokens, each counted once however many share it: a sequence
    may leave room in its last block, and in the one that it had to copy."""
    return n_cells // BLOCK + 2 * n_sequences


class Blocks:
    """`n` blocks, and the positions of the tokens of each slot that is open."""

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
        """Makes room for tokens at these positions. Raises EngineError when there is
        none."""
        self._positions[slot] += positions
        held = self._held[slot]
        while len(held) * BLOCK < self.n_tokens(slot):
            held.append(self._take())

    def share(self, source: int, slot: int, n_positions: int) -> tuple[int, int] | None:
        """Lets an empty slot begin with what `source` holds before that position. Says
        which block is to be copied into which, if any."""
        before = [at for at in self._positions[source] if at < n_positions]
        n_whole, n_rest = divmod(len(before), BLOCK)
        whole = self._held[source][:n_whole]
        self._users.update(whole)
        self._held[slot], self._positions[slot] = whole, before
        if not n_rest:
            return None
        whole.append(self._take())
        return self._held[source][n_whole], whole[-1]

    def rewind(self, slot: int, position: int) -> tuple[int, int] | None:
        """Takes back the tokens at `position` and after it. Says which block is to be
        copied into which, if any: the last one may be shared with another slot."""
        held = self._held[slot]
        before = [at for at in self._positions[slot] if at < position]
        n_whole, n_rest = divmod(len(before), BLOCK)
        unused = held[n_whole + bool(n_rest) :]
        self._held[slot] = held = held[: n_whole + bool(n_rest)]
        self._positions[slot] = before
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

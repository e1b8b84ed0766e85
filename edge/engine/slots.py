"""Slots and cells: who may compute now, and whether the cache can hold the outcome.

A slot is one of llama.cpp's sequence ids; a cell holds keys and values of one token.
All slots share the cells. A sequence reserves at the start all the cells it can ever
need, so that what has started can always finish.
"""

from __future__ import annotations


class Slots:
    """A pool of `n_slots` slots over `n_cells` shared cells."""

    def __init__(self, n_slots: int, n_cells: int) -> None:
        self.n_slots = n_slots
        self.n_cells = n_cells
        self._free = list(range(n_slots - 1, -1, -1))
        self._reserved: dict[int, int] = {}

    @property
    def n_free_slots(self) -> int:
        return len(self._free)

    @property
    def n_free_cells(self) -> int:
        return self.n_cells - sum(self._reserved.values())

    def can_allocate(self, n_cells: int) -> bool:
        return bool(self._free) and n_cells <= self.n_free_cells

    def allocate(self, n_cells: int) -> int:
        """A slot with `n_cells` reserved; ask `can_allocate` first."""
        assert self.can_allocate(n_cells)
        slot = self._free.pop()
        self._reserved[slot] = n_cells
        return slot

    def free(self, slot: int) -> None:
        del self._reserved[slot]
        self._free.append(slot)

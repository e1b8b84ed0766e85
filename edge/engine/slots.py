"""Slots and KV cells: which sequences may compute, and which prefixes are cached.

A KV cell holds keys and values of one token. All slots share the cells. A sequence
reserves all the cells it can ever need when it starts, so that it can always finish.

The cells of a finished sequence are the prefix cache: its slot stays idle until its
cells are needed, oldest first. A question that begins in the same way shares them and
computes only what follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# Of each cell its token, or the sha256 of its picture; of the first one the scope too.
Content = list[int | str]


@dataclass(frozen=True)
class Claim:
    """An empty slot for a sequence. The `evicted` slots must be emptied after it has
    shared their cells and before it computes."""

    slot: int
    evicted: tuple[int, ...]


class Slots:
    """Up to `n_slots` running and `n_idle` idle slots over `n_cells` cells."""

    def __init__(self, n_slots: int, n_cells: int, n_idle: int = 0) -> None:
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.idle: dict[int, Content] = {}  # oldest first
        self._n_idle = n_idle
        self._cells: dict[int, list[int]] = {}  # of each slot in use, in order
        # of each cell, how many running slots use it, and how many slots in all
        self._busy: Counter[int] = Counter()
        self._users: Counter[int] = Counter()
        self._free_slots = list(range(n_slots + n_idle - 1, -1, -1))
        self._free_cells = list(range(n_cells))

    @property
    def n_free_slots(self) -> int:
        return self.n_slots - (len(self._cells) - len(self.idle))

    @property
    def n_free_cells(self) -> int:
        """Cells that no running slot uses; those of idle slots can be evicted."""
        return self.n_cells - len(self._busy)

    @property
    def n_idle_cells(self) -> int:
        """Cells that only idle slots use."""
        return self.n_free_cells - len(self._free_cells)

    def claim(
        self, n_cells: int, source: int | None = None, n_shared: int = 0
    ) -> Claim | None:
        """A slot with `n_cells`, the first `n_shared` of them those of `source`. Evicts
        as many idle slots as necessary; None when there are not enough cells."""
        shared = [] if source is None else self._cells[source][:n_shared]
        n_new = n_cells - len(shared)
        n_newly_busy = n_new + sum(cell not in self._busy for cell in shared)
        if not self.n_free_slots or n_newly_busy > self.n_free_cells:
            return None
        slot = self._free_slots.pop()
        self._users.update(shared)  # before an eviction: it may be of the source
        evicted = []
        for old in sorted(self.idle, key=lambda slot: slot == source):
            if n_new <= len(self._free_cells):
                break
            evicted.append(old)
            self._drop(old)
        new = [self._free_cells.pop() for _ in range(n_new)]
        self._users.update(new)
        self._cells[slot] = [*shared, *new]
        self._busy.update(self._cells[slot])
        return Claim(slot, tuple(evicted))

    def retain(self, slot: int, content: Content) -> tuple[int, ...]:
        """Makes a slot idle that holds `content`; the cells behind it are free again.
        Returns the slots to be emptied: the oldest, when there are too many idle ones.
        """
        cells = self._cells[slot]
        _take_out(self._busy, cells)
        self._cells[slot], unused = cells[: len(content)], cells[len(content) :]
        self._release(unused)
        self.idle[slot] = content
        too_many = list(self.idle)[: max(0, len(self.idle) - self._n_idle)]
        for old in too_many:
            self._drop(old)
        return tuple(too_many)

    def touch(self, slot: int) -> None:
        """Makes an idle slot the newest: it was used."""
        self.idle[slot] = self.idle.pop(slot)

    def free(self, slot: int) -> None:
        """Frees a running slot."""
        _take_out(self._busy, self._cells[slot])
        self._give_back(slot)

    def _drop(self, slot: int) -> None:
        del self.idle[slot]
        self._give_back(slot)

    def _give_back(self, slot: int) -> None:
        self._release(self._cells.pop(slot))
        self._free_slots.append(slot)

    def _release(self, cells: Iterable[int]) -> None:
        self._free_cells += _take_out(self._users, cells)


def _take_out(counts: Counter[int], cells: Iterable[int]) -> list[int]:
    """Counts each cell down. Returns those that have reached zero."""
    gone = []
    for cell in cells:
        counts[cell] -= 1
        if not counts[cell]:
            del counts[cell]
            gone.append(cell)
    return gone

"""The policy: who enters a slot, and what the next step computes.

Pure: two queues and rules, no model, no threads, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.engine.batch import Batch, PictureBatch, Row, TokenBatch
from edge.engine.pace import Pace
from edge.engine.sequence import Phase, PicturePiece, Sequence
from edge.engine.slots import Slots

WORTH_SHARING = 16  # cells; the template alone, which all share, is less
WORTH_WAITING = 64  # cells that another is just computing


@dataclass(frozen=True)
class Load:
    """How full the engine is, and what it has computed since its start.

    A row is one token, of a prompt or an answer, in one step.
    """

    n_slots: int
    n_busy_slots: int
    n_cells: int
    n_reserved_cells: int
    n_idle_cells: int
    n_steps: int
    n_tokens: int


@dataclass(frozen=True)
class Admission:
    """A sequence that has got its slot.

    The first `n_positions` positions of the slot `source`, where there is one, are to
    be shared with it; after that the `evicted` slots are to be emptied.
    """

    sequence: Sequence
    source: int | None
    n_positions: int
    evicted: tuple[int, ...]


class Scheduler:
    """First come, first served into slots; then answers and prompts by turns.

    `chunk` bounds the prompt tokens of one step; while somebody is being answered, a
    `Pace` may bound them further. It differs while the tower works on the same cores.
    """

    def __init__(self, slots: Slots, chunk: int) -> None:
        self.chunk = chunk
        self._paces = {False: Pace(chunk), True: Pace(chunk)}
        self._tower_works = False
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}
        self._slots = slots
        self._picture_was_last = False
        self._n_steps = 0
        self._n_tokens = 0

    @property
    def load(self) -> Load:
        slots = self._slots
        return Load(
            n_slots=slots.n_slots,
            n_busy_slots=slots.n_slots - slots.n_free_slots,
            n_cells=slots.n_cells,
            n_reserved_cells=slots.n_cells - slots.n_free_cells,
            n_idle_cells=slots.n_idle_cells,
            n_steps=self._n_steps,
            n_tokens=self._n_tokens,
        )

    @property
    def is_prefilling(self) -> bool:
        return bool(self._prefilling())

    def add(self, sequence: Sequence) -> None:
        sequence.phase = Phase.WAIT
        self.waiting.append(sequence)

    def admit(self) -> Admission | None:
        """Moves the next waiting sequence into a slot, if it can have one.

        A long question at the head waits for its cells; nobody overtakes it, or it
        might wait for ever. It also waits while another computes what both begin with:
        two questions about a new picture at once, and the picture is computed once.
        """
        if not self.waiting:
            return None
        sequence = self.waiting[0]
        source, n_shared = self._longest_prefix(sequence)
        if self._is_being_computed(sequence, n_shared):
            return None
        claim = self._slots.claim(sequence.n_cells_needed, source, n_shared)
        if claim is None:
            return None
        self.waiting.popleft()
        sequence.slot = claim.slot
        n_positions = sequence.skip_cached(n_shared)
        self.running[claim.slot] = sequence
        return Admission(sequence, source, n_positions, claim.evicted)

    def _longest_prefix(self, sequence: Sequence) -> tuple[int | None, int]:
        """The slot that holds most of what the prompt begins with, and how much."""
        held = dict(self._slots.idle)
        held |= {slot: running.cached_content for slot, running in self.running.items()}
        found = [
            (sequence.match_prefix(content), slot) for slot, content in held.items()
        ]
        n_shared, source = max(found, default=(0, -1))
        if n_shared < WORTH_SHARING:
            return None, 0
        if source in self._slots.idle:
            self._slots.touch(source)
        return source, n_shared

    def _is_being_computed(self, sequence: Sequence, n_shared: int) -> bool:
        return any(
            sequence.match_prefix(other.content) >= n_shared + WORTH_WAITING
            for other in self._prefilling()
        )

    def schedule(self, *, tower_works: bool = False) -> Batch | None:
        """The next step, or None when nothing runs."""
        self._tower_works = tower_works
        rows = [
            s.decode_row() for s in self.running.values() if s.phase is Phase.DECODE
        ]
        budget = self._paces[tower_works].rows(somebody_waits=bool(rows))
        rows += self._prompt_rows(budget)
        picture = self._next_picture()
        # Pictures and tokens cannot share a batch: they take turns, so that neither
        # running answers nor new pictures ever wait for more than one step.
        if picture and (self._picture_was_last is False or not rows):
            self._picture_was_last = True
            return picture.prefill_picture(budget)
        self._picture_was_last = False
        return TokenBatch(tuple(rows)) if rows else None

    def advance(self, batch: Batch, seconds: float = 0.0) -> None:
        """Records that `batch` has been computed, and in how many seconds."""
        self._n_steps += 1
        self._n_tokens += batch.n_rows
        self._paces[self._tower_works].observe(batch.n_rows, seconds)
        if isinstance(batch, PictureBatch):
            self.running[batch.slot].advance_prefill(batch.positions.shape[1])
            return
        for slot in batch.slots:
            sequence = self.running[slot]
            if sequence.phase is Phase.PREFILL:
                sequence.advance_prefill(sum(row.slot == slot for row in batch.rows))

    def remove(self, sequence: Sequence, *, retain: bool = False) -> tuple[int, ...]:
        """Takes a sequence out, wherever it is. Returns the slots to be emptied: its
        own, or an older idle one with `retain`, which makes its own slot idle."""
        to_empty: tuple[int, ...] = ()
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        if self.running.get(sequence.slot) is sequence:
            del self.running[sequence.slot]
            if retain:
                to_empty = self._slots.retain(sequence.slot, sequence.cached_content)
            else:
                self._slots.free(sequence.slot)
                to_empty = (sequence.slot,)
        sequence.phase = Phase.DONE
        return to_empty

    def _next_picture(self) -> Sequence | None:
        for sequence in self._prefilling():
            if isinstance(sequence.next_piece, PicturePiece):
                return sequence
        return None

    def _prompt_rows(self, budget: int) -> list[Row]:
        """Text of prompts, as far as the budget goes."""
        rows: list[Row] = []
        for sequence in self._prefilling():
            if budget > 0 and not isinstance(sequence.next_piece, PicturePiece):
                stretch = sequence.prefill_rows(budget)
                budget -= len(stretch)
                rows.extend(stretch)
        return rows

    def _prefilling(self) -> list[Sequence]:
        return [s for s in self.running.values() if s.phase is Phase.PREFILL]

"""The policy: who enters a slot, and what the next step computes.

Pure: two queues and rules, no model, no threads, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.engine.batch import Batch, PictureBatch, Row, TokenBatch
from edge.engine.sequence import Phase, PicturePiece, Sequence
from edge.engine.slots import Slots


@dataclass(frozen=True)
class Load:
    """How full the engine is, and what it has computed since its start.

    A row is one token, of a prompt or an answer, in one step.
    """

    n_slots: int
    n_busy_slots: int
    n_cells: int
    n_reserved_cells: int
    n_steps: int
    n_rows: int


class Scheduler:
    """First come, first served into slots; then answers and prompts by turns.

    `chunk` bounds the prompt tokens of one step, and so the pause that a new question
    puts between two tokens of a running answer.
    """

    def __init__(self, slots: Slots, chunk: int) -> None:
        self.chunk = chunk
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}
        self._slots = slots
        self._picture_was_last = False
        self._n_steps = 0
        self._n_rows = 0

    @property
    def load(self) -> Load:
        slots = self._slots
        return Load(
            n_slots=slots.n_slots,
            n_busy_slots=slots.n_slots - slots.n_free_slots,
            n_cells=slots.n_cells,
            n_reserved_cells=slots.n_cells - slots.n_free_cells,
            n_steps=self._n_steps,
            n_rows=self._n_rows,
        )

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, sequence: Sequence) -> None:
        sequence.phase = Phase.WAIT
        self.waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Moves waiting sequences into free slots, in order, and returns them.

        A long question at the head waits for its cells; nobody overtakes it, or it
        might wait for ever.
        """
        admitted = []
        while self.waiting and self._slots.can_allocate(self.waiting[0].n_cells_needed):
            sequence = self.waiting.popleft()
            sequence.slot = self._slots.allocate(sequence.n_cells_needed)
            sequence.phase = Phase.PREFILL
            self.running[sequence.slot] = sequence
            admitted.append(sequence)
        return admitted

    def schedule(self) -> Batch | None:
        """The next step, or None when nothing runs."""
        picture = self._next_picture()
        rows = self._token_rows()
        # Pictures and tokens cannot share a batch: they take turns, so that neither
        # running answers nor new pictures ever wait for more than one step.
        if picture and (self._picture_was_last is False or not rows):
            self._picture_was_last = True
            return picture.prefill_picture(self.chunk)
        self._picture_was_last = False
        return TokenBatch(tuple(rows)) if rows else None

    def advance(self, batch: Batch) -> None:
        """Records that `batch` has been computed."""
        self._n_steps += 1
        self._n_rows += batch.n_rows
        if isinstance(batch, PictureBatch):
            self.running[batch.slot].prefilled(batch.positions.shape[1])
            return
        for slot in batch.slots:
            sequence = self.running[slot]
            if sequence.phase is Phase.PREFILL:
                sequence.prefilled(sum(row.slot == slot for row in batch.rows))

    def remove(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it is, and frees its slot."""
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        if self.running.get(sequence.slot) is sequence:
            del self.running[sequence.slot]
            self._slots.free(sequence.slot)
        sequence.phase = Phase.DONE

    def _next_picture(self) -> Sequence | None:
        for sequence in self._prefilling():
            if isinstance(sequence.next_piece, PicturePiece):
                return sequence
        return None

    def _token_rows(self) -> list[Row]:
        # decode: one row for every running answer
        rows = [
            s.decode_row() for s in self.running.values() if s.phase is Phase.DECODE
        ]
        # prefill: text of prompts, while the chunk lasts
        budget = self.chunk
        for sequence in self._prefilling():
            if budget > 0 and not isinstance(sequence.next_piece, PicturePiece):
                stretch = sequence.prefill_rows(budget)
                budget -= len(stretch)
                rows.extend(stretch)
        return rows

    def _prefilling(self) -> list[Sequence]:
        return [s for s in self.running.values() if s.phase is Phase.PREFILL]

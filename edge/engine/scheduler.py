"""The policy: which sequence gets a slot, what the next step computes, and when the
vision encoder computes.

Pure: three queues and rules, no model, no threads, no clock. `now` is in seconds of one
monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from edge.engine.costs import Costs
from edge.engine.encode_queue import EncodeJob, EncodeQueue
from edge.engine.pace import Pace
from edge.engine.sequence import Phase, Sequence
from edge.engine.slots import Slots
from edge.engine.step import Span, Step

WORTH_SHARING = 16  # cells; the template alone is less
WORTH_WAITING = 64  # cells that another sequence is computing now


@dataclass(frozen=True)
class Load:
    """How full the engine is, and what it has computed since its start: steps, and
    tokens of prompts and answers in them."""

    n_slots: int
    n_busy_slots: int
    n_cells: int
    n_reserved_cells: int
    n_idle_cells: int
    n_steps: int
    n_tokens: int


@dataclass(frozen=True)
class Admission:
    """A sequence and its new slot.

    The tokens before `n_positions` of the slot `source`, if there is one, must be
    shared with it; after that the `evicted` slots must be emptied.
    """

    slot: int
    sequence: Sequence
    source: int | None
    n_positions: int
    evicted: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """The vision encoder computes: it begins with `job`, or goes on if that is None."""

    job: EncodeJob | None


@dataclass(frozen=True)
class Rest:
    """The engine thread computes nothing until a message comes or `seconds` have
    passed."""

    seconds: float | None


class Scheduler:
    """Slots are given first come, first served. A step holds one token of each answer,
    and as much of the prompts as the pace allows: at most `chunk_tokens`.

    With `alternates`, steps and stages of the vision encoder never compute at the same
    time; else the encoder computes a whole picture beside the steps.
    """

    def __init__(
        self,
        slots: Slots,
        chunk_tokens: int,
        *,
        alternates: bool = True,
        costs: Costs | None = None,
    ) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}
        self.pictures = EncodeQueue()
        self._slots = slots
        self._alternates = alternates
        self._pace = Pace(costs or Costs(), chunk_tokens)
        self._n_arrived = 0
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
    def prefilling(self) -> dict[int, Sequence]:
        """Those whose prompt is being computed, by slot."""
        return {
            slot: sequence
            for slot, sequence in self.running.items()
            if sequence.phase is Phase.PREFILL
        }

    def add(self, sequence: Sequence) -> None:
        """Lets a new sequence wait for embeddings; without missing pictures, or once it
        has them all, for a slot."""
        if not sequence.arrival:
            self._n_arrived += 1
            sequence.arrival = self._n_arrived
        if sequence.missing_pictures:
            self.pictures.add(sequence)
            return
        self.pictures.remove(sequence)
        sequence.phase = Phase.WAIT
        self.waiting.append(sequence)

    @property
    def encoder_has_cores(self) -> bool:
        """Whether steps have to wait until the stage of a picture has ended."""
        return self._alternates and self.pictures.is_computing

    def next_work(self, now: float) -> Step | Stage | Rest:
        """What to compute now, when all admissions are done."""
        if self.encoder_has_cores:
            return Rest(None)
        if self._encodes_next(now):
            return Stage(self.pictures.start_stage())
        if self._is_beside and not self.prefilling and self.running:
            rest_s = self._pace.left_s(now, len(self.running), beside=True)
            if rest_s > 0:
                return Rest(rest_s)
        return self.schedule(now) or Rest(None)

    def end_stage(self, seconds: float) -> None:
        """The encoder has paused after a stage of `seconds`."""
        if job := self.pictures.current:
            self._pace.observe_stage(job.n_tokens, seconds)
        self.pictures.end_stage()

    def end_picture(self) -> list[Sequence]:
        """The current picture is done or given up, after a last stage, whose seconds
        are not like those of others. Returns the sequences that wait for it."""
        self._pace.n_stages += 1
        return self.pictures.finish()

    def admit(self) -> Admission | None:
        """Moves the next waiting sequence into a slot, if it can have one.

        A long question that waits for its cells is never overtaken, or it might wait
        for ever. One that waits for another to compute a long common prefix is passed.
        """
        passed: set[int] = set()  # of hundreds of siblings, one is compared
        for sequence in self.waiting:
            siblings = sequence.siblings
            if siblings and id(siblings) in passed:
                continue
            source, n_shared = self._longest_prefix(sequence)
            if self._is_being_computed(sequence, n_shared):
                passed.add(id(siblings))
                continue
            claim = self._slots.claim(sequence.n_cells_needed, source, n_shared)
            if claim is None:
                return None
            self.waiting.remove(sequence)
            n_positions = sequence.skip_cached(n_shared)
            self.running[claim.slot] = sequence
            return Admission(claim.slot, sequence, source, n_positions, claim.evicted)
        return None

    def _longest_prefix(self, sequence: Sequence) -> tuple[int | None, int]:
        """The slot that shares most of the prompt's beginning, and how many cells, if
        the question may use them."""
        return self._held_prefix(sequence) if sequence.cache.reads else (None, 0)

    def _held_prefix(self, sequence: Sequence) -> tuple[int | None, int]:
        held = dict(self._slots.idle)
        held |= {
            slot: running.cached_content
            for slot, running in self.running.items()
            if running.cache.writes
        }
        found = ((sequence.match_prefix(held[slot]), slot) for slot in held)
        n_shared, source = max(found, default=(0, None))
        if source is None or n_shared < WORTH_SHARING:
            return None, 0
        if source in self._slots.idle:
            self._slots.touch(source)
        return source, n_shared

    def _is_being_computed(self, sequence: Sequence, n_shared: int) -> bool:
        return sequence.cache.reads and any(
            sequence.match_prefix(other.content) >= n_shared + WORTH_WAITING
            for other in self.prefilling.values()
            if other.cache.writes
        )

    def schedule(self, now: float) -> Step | None:
        """The next step, or None when nothing runs."""
        spans: list[Span] = [
            sequence.decode_span(slot)
            for slot, sequence in self.running.items()
            if sequence.phase is Phase.DECODE
        ]
        if self.prefilling:
            piece = self._pace.piece(
                now,
                sum(span.n_tokens for span in spans),
                beside=self._is_beside,
                # with another picture begun, its stages might always come first
                may_wait=self.pictures.current is None,
            )
            spans += self._prompt_spans(piece)
        return Step(tuple(spans), self._is_beside) if spans else None

    def advance(self, step: Step, seconds: float, now: float) -> None:
        """Records that `step` has been computed in `seconds`, and has ended now."""
        self._n_steps += 1
        self._n_tokens += step.n_tokens
        self._pace.observe_step(step.n_tokens, seconds, now, beside=step.beside_encoder)
        for span in step.spans:
            sequence = self.running[span.slot]
            if sequence.phase is Phase.PREFILL:
                sequence.advance_prefill(span.n_tokens)
            else:
                sequence.n_fed += span.n_tokens

    def remove(self, sequence: Sequence, *, retain: bool = False) -> tuple[int, ...]:
        """Takes a sequence out, wherever it is. Returns the slots to be emptied: its
        own, or an older idle one with `retain`, which makes its own slot idle if its
        cells may be kept."""
        self.pictures.remove(sequence)
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        slot = self.slot_of(sequence)
        to_empty: tuple[int, ...] = ()
        if slot is not None:
            del self.running[slot]
            if retain and self._is_worth_retaining(sequence):
                to_empty = self._slots.retain(slot, sequence.cached_content)
            else:
                self._slots.free(slot)
                to_empty = (slot,)
        sequence.phase = Phase.DONE
        return to_empty

    def slot_of(self, sequence: Sequence) -> int | None:
        """Where it runs, if it does."""
        return next((n for n, s in self.running.items() if s is sequence), None)

    def _is_worth_retaining(self, sequence: Sequence) -> bool:
        """Of several prompts of one request only the common beginning is needed again,
        once: they must not evict what other questions have left."""
        if not sequence.cache.writes:
            return False
        if sequence.siblings is None:
            return True
        n_common = sequence.siblings.n_common
        return n_common >= WORTH_SHARING and self._held_prefix(sequence)[1] < n_common

    @property
    def _is_beside(self) -> bool:
        return self.pictures.is_computing and not self._alternates

    def _encodes_next(self, now: float) -> bool:
        """Whether a stage comes before the next step.

        The next picture waits while an earlier prompt is computed: it would help no
        answer yet. A picture that has begun gets one stage between two pieces of a
        prompt.
        """
        job = self.pictures.upcoming
        if job is None or self.pictures.is_computing:
            return False
        if prompts := self.prefilling.values():
            return self.pictures.precedes(prompts) and not self._pace.n_stages
        n_answers = len(self.running)
        return not n_answers or self._pace.allows_stage(now, n_answers, job.n_tokens)

    def _prompt_spans(self, budget: int) -> Iterator[Span]:
        # first come, first served; one of several prompts of a request after the others
        by_turn = sorted(self.prefilling.items(), key=lambda each: each[1].has_siblings)
        for slot, sequence in by_turn:
            if budget == 0:
                return
            for span in sequence.prefill_spans(slot, budget):
                budget -= span.n_tokens
                yield span

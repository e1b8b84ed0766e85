"""Several prompts of one question: the documents of a score, the inputs of embeddings.

To its client it is one question with one end. To the engine each prompt is a sequence,
a few at a time: when one ends the next begins, behind the questions that came
meanwhile, and one slot is left to those.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import Runtime
from edge.engine.sequence import Sequence
from edge.engine.ticket import SHOW_S, Clock, EngineThread, Ticket
from edge.errors import EdgeError
from edge.events import Event, Failed, Finished, Prefilling, Started, Terminal
from edge.qwen3vl import embedding, rerank
from edge.request import Answer, Request
from edge.usage import Usage

Vector = npt.NDArray[np.float32]


class Batch:
    """The handle of such a question, as a `Ticket`. With a `score_row` (see `Runtime`)
    its results are scores, else embeddings; `sequences` are those of its prompts."""

    def __init__(
        self,
        sequences: Many[Sequence],
        clock: Clock,
        engine: EngineThread,
        n_slots: int,
        score_row: Vector | None,
    ) -> None:
        self.n_image = sum(sequence.n_image for sequence in sequences)
        self._members = [Member(s, Clock(0.0), engine, batch=self) for s in sequences]
        self._waiting = deque(self._members)
        self._running: set[Member] = set()
        self._n_at_once = max(1, n_slots - 1)
        self._n_prompt = sum(sequence.n_prompt for sequence in sequences)
        self._n_done = 0  # tokens of prompts
        self._shown = 0.0
        self._has_ended = False
        self._clock = clock
        self._engine = engine
        self._score_row = score_row
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def next(self, timeout_s: float | None = None) -> Event | None:
        """As of a Ticket."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def cancel(self, reason: EdgeError) -> None:
        """As of a Ticket."""
        self._engine.post(lambda: self._fail(Failed.because(reason)))

    # Everything below runs on the engine thread.

    def start(self) -> None:
        """Begins with the first prompts."""
        now = time.monotonic()
        self._clock.end("embed", now)
        self._clock.end("queue", now)
        self._events.put(Started(self._n_prompt, self.n_image))
        for _ in range(self._n_at_once):
            self._start_next()

    def ended(self, member: Member, outcome: Terminal) -> None:
        """One prompt has ended."""
        self._running.discard(member)
        if isinstance(outcome, Failed):
            self._fail(outcome)
            return
        self._n_done += member.sequence.n_prompt
        self._start_next()
        if self._running:
            self._show_progress()
        else:
            self._end(Finished(self._answer()))

    def _start_next(self) -> None:
        if self._waiting:
            member = self._waiting.popleft()
            self._running.add(member)
            member.start()

    def _show_progress(self) -> None:
        now = time.monotonic()
        if now - self._shown >= SHOW_S:
            self._shown = now
            self._events.put(Prefilling(self._n_done, self._n_prompt))

    def _fail(self, outcome: Failed) -> None:
        self._waiting.clear()
        running, self._running = self._running, set()
        self._end(outcome)
        for member in running:
            self._engine.end(member, outcome)

    def _end(self, outcome: Terminal) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._members.clear()  # each knows this batch, and its state takes memory
            self._events.put(outcome)

    def _answer(self) -> Answer:
        now = time.monotonic()
        self._clock.end("prefill", now)
        sequences = [member.sequence for member in self._members]
        usage = Usage(
            self._n_prompt,
            cached_tokens=sum(one.n_reused for one in sequences),
            image_tokens=self.n_image,
            memory_image_tokens=sum(one.n_memory_image for one in sequences),
            stored_image_tokens=sum(one.n_stored_image for one in sequences),
        )
        answer = Answer("", "stop", usage, self._clock.timings(now, 0))
        states = [member.state for member in self._members if member.state is not None]
        if self._score_row is None:
            packed = (embedding.pack(state.tolist()) for state in states)
            return replace(answer, embeddings=tuple(packed))
        odds = (float(state @ self._score_row) for state in states)
        return replace(answer, scores=tuple(map(rerank.probability, odds)))


def open_ticket(
    request: Request,
    sequences: Many[Sequence],
    clock: Clock,
    engine: EngineThread,
    runtime: Runtime,
) -> Ticket | Batch:
    """The handle of a request whose prompts are `sequences`. Raises SetupError when the
    model's file cannot be read for scores."""
    if not request.has_many_prompts:
        return Ticket(sequences[0], clock, engine)
    row = runtime.score_row if request.wants == "score" else None
    return Batch(sequences, clock, engine, runtime.n_slots, row)


@dataclass(eq=False)
class Member(Ticket):
    """One prompt of a `batch`, which alone hears of it."""

    batch: Batch = field(kw_only=True)

    def emit(self, event: Event) -> None:
        if isinstance(event, Terminal):
            self.batch.ended(self, event)

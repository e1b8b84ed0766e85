"""The engine thread: the only place where the language model computes.

Other threads talk to it through one inbox; it answers through each ticket's events.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from edge.engine.batch import Batch, PictureBatch
from edge.engine.embedder import Embedder, Embeddings
from edge.engine.pace import language_threads, rest_after
from edge.engine.prepare import prepare
from edge.engine.protocols import Runtime, VisionTower
from edge.engine.repetition import is_stuck
from edge.engine.scheduler import Admission, Load, Scheduler
from edge.engine.sequence import Phase, Sequence
from edge.engine.side import SideThread
from edge.engine.slots import Slots
from edge.engine.ticket import Clock, Ticket
from edge.errors import Cancelled, EdgeError, EngineError, Unavailable
from edge.events import Embedded, Failed, Finished, Started, Terminal, Token
from edge.images import Picture
from edge.request import Answer, Request, Usage

log = logging.getLogger(__name__)


class Engine:
    """Answers up to `runtime.n_slots` questions at once.

    `chunk` tokens of a prompt are computed in one step; `keep_bytes` of embeddings of
    pictures are remembered.
    """

    def __init__(
        self,
        runtime: Runtime,
        tower: VisionTower,
        chunk: int = 256,
        keep_bytes: int = 64 << 20,
    ) -> None:
        self._runtime = runtime
        self._tower = tower
        self.tower_name, self.runtime_name = tower.name, runtime.name
        self._side = SideThread()
        self._embedder = Embedder(tower, keep_bytes, self._side)
        self._scheduler = Scheduler(
            Slots(runtime.n_slots, runtime.n_cells, runtime.n_kept), chunk
        )
        self._load = self._scheduler.load
        self._tickets: dict[Sequence, Ticket] = {}
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._door = threading.Lock()
        self._closing = False
        self._turn_began: float | None = None
        self.longest_turn_s = 0.0
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def load(self) -> Load:
        """How full it was after its latest step; any thread may ask."""
        return self._load

    @property
    def silent_s(self) -> float:
        """How long it has been at its present turn; 0 while it waits for work. What is
        far longer than `longest_turn_s` is no turn any more: it hangs."""
        began = self._turn_began
        return 0.0 if began is None else time.monotonic() - began

    @property
    def n_open(self) -> int:
        """How many questions it has; any thread may ask."""
        return len(self._tickets)

    def check(
        self, request: Request, is_wanted: Callable[[], bool] = lambda: True
    ) -> Sequence:
        """What would be computed, without pixels and without accepting it.

        Raises what `submit` does when that can never be.
        """
        constraint = self._runtime.check(request.sampling)
        n_cells = self._runtime.n_cells
        sequence = prepare(request, self._runtime, self._tower, n_cells, is_wanted)
        sequence.constraint = constraint
        return sequence

    def submit(
        self,
        request: Request,
        pictures: Mapping[str, Picture],
        is_wanted: Callable[[], bool] = lambda: True,
        prepared: Sequence | None = None,
    ) -> Ticket:
        """Accepts a question; `pictures` holds the pixels by sha256. `is_wanted` is
        asked again and again while it is prepared.

        Raises ContextLengthExceeded when it can never fit, InvalidRequest when it asks
        for sampling that cannot be, Cancelled when it is not wanted any more,
        Unavailable once closed.
        """
        clock = Clock(time.monotonic())
        sequence = prepared or self.check(request, is_wanted)
        clock.prepared = time.monotonic()
        ticket = Ticket(sequence, clock, self._inbox.put, self._end)
        missing = [pictures[sha256] for sha256 in sequence.missing_pictures]
        with self._door:
            if self._closing or not self.is_alive:
                raise Unavailable("The engine is shutting down.")
            self._inbox.put(lambda: self._accept(ticket, missing))
        return ticket

    def close(self) -> None:
        """Fails what is unfinished, ends both threads and frees the models."""
        with self._door:  # nobody enters behind the message that ends everybody
            self._closing = True
            reason = Cancelled("The engine was shut down.")
            self._inbox.put(lambda: self._end_all(reason))
        self._thread.join()
        self._side.close()
        self._tower.close()
        self._runtime.close()

    # Everything below runs on the engine thread, but for `_later`.

    def _loop(self) -> None:
        rest_s: float | None = None
        try:
            while not self._closing or self._tickets:
                self._take_messages(rest_s)
                rest_s = self._step()
                self._load = self._scheduler.load
                self.longest_turn_s = max(self.longest_turn_s, self.silent_s)
        except BaseException:
            log.critical("the engine thread died", exc_info=True)
            self._closing = True
            self._end_all(EngineError("The engine failed. Try again."))

    def _take_messages(self, rest_s: float | None) -> None:
        """All that there are; the first may come within so long, or at any time."""
        message: Callable[[], None] | None = None
        if rest_s != 0.0:  # a rest costs nothing: sleep until somebody writes
            self._turn_began = None
            with suppress(queue.Empty):
                message = self._inbox.get(timeout=rest_s)
        self._turn_began = time.monotonic()
        if message:
            message()
        while not self._inbox.empty():
            self._inbox.get()()

    def _step(self) -> float | None:
        """How long to rest after it; None when there was nothing to compute."""
        # One after the other: the next may share what this one has just been given.
        while admission := self._scheduler.admit():
            self._open(admission)
        if not self._scheduler.is_prefilling:
            self._side.go_on()
        tower_works = self._side.is_busy
        batch = self._scheduler.schedule(tower_works=tower_works)
        if batch is None:
            return None
        n_threads = language_threads(self._runtime.n_threads, tower_works=tower_works)
        begun = time.monotonic()
        try:
            tokens = self._runtime.run(batch, n_threads)
        except Exception as error:  # ends the sequences in this batch, nobody else
            for slot in batch.slots:
                self._fail(self._tickets[self._scheduler.running[slot]], error)
        else:
            self._scheduler.advance(batch, time.monotonic() - begun)
            self._postprocess(batch, tokens)
        if self._side.is_busy and not self._scheduler.is_prefilling:
            return rest_after(time.monotonic() - begun)
        return 0.0

    def _open(self, admission: Admission) -> None:
        sequence = admission.sequence
        ticket = self._tickets[sequence]
        ticket.clock.admitted = time.monotonic()
        try:
            self._runtime.open(sequence.slot, sequence.sampling, sequence.constraint)
            if admission.source is not None:
                n_positions = admission.n_positions
                self._runtime.share(admission.source, sequence.slot, n_positions)
        except Exception as error:
            self._fail(ticket, error)
        for slot in admission.evicted:
            self._runtime.release(slot)

    def _postprocess(self, batch: Batch, tokens: list[int | EngineError]) -> None:
        if isinstance(batch, PictureBatch):
            return
        sampled = (row.slot for row in batch.rows if row.sampled)
        for slot, token in zip(sampled, tokens, strict=True):
            ticket = self._tickets[self._scheduler.running[slot]]
            if isinstance(token, EngineError):
                self._fail(ticket, token)
            else:
                self._append(ticket, token)

    def _append(self, ticket: Ticket, token: int) -> None:
        sequence = ticket.sequence
        if sequence.n_generated == 0:
            ticket.clock.first_token = time.monotonic()
        sequence.generated.append(token)
        detokenizer = sequence.detokenizer
        is_end = self._runtime.is_end(token)
        is_long = sequence.n_generated == sequence.sampling.max_tokens
        is_long = is_long or is_stuck(sequence.generated)
        text = "" if is_end else detokenizer.feed(self._runtime.piece(token))
        if is_end or is_long:
            text += detokenizer.flush()
        if text:
            ticket.events.put(Token(text))
        if is_end or is_long or detokenizer.stopped:
            stopped = is_end or detokenizer.stopped
            sequence.finish_reason = "stop" if stopped else "length"
            self._end(ticket, Finished(self._answer(ticket)))

    def _answer(self, ticket: Ticket) -> Answer:
        sequence = ticket.sequence
        return Answer(
            text=sequence.detokenizer.text,
            finish_reason=sequence.finish_reason,
            usage=Usage(sequence.n_prompt, sequence.n_generated, sequence.n_reused),
            timings=ticket.clock.timings(time.monotonic(), sequence.n_generated),
            n_dropped=sequence.n_dropped,
        )

    def _accept(self, ticket: Ticket, missing: list[Picture]) -> None:
        sequence = ticket.sequence
        self._tickets[sequence] = ticket
        ticket.events.put(Started(sequence.n_prompt))
        for picture in missing:
            self._embedder.embed(
                picture,
                sequence.scope,
                is_wanted=lambda: sequence.phase is Phase.EMBED,
                done=partial(self._later, self._embedded, ticket, picture),
            )
        self._start_if_ready(ticket)

    def _later(self, act: Callable[..., None], *details: object) -> None:
        """Hands the second thread's work over to ours: to be called there."""
        self._inbox.put(partial(act, *details))

    def _embedded(
        self, ticket: Ticket, picture: Picture, outcome: Embeddings | Exception
    ) -> None:
        if isinstance(outcome, Exception):
            self._fail(ticket, outcome)
        elif ticket.sequence.phase is Phase.EMBED:
            ticket.sequence.embeddings[picture.ref.sha256] = outcome
            ticket.events.put(Embedded(len(outcome)))
            self._start_if_ready(ticket)

    def _start_if_ready(self, ticket: Ticket) -> None:
        if not ticket.sequence.missing_pictures:
            ticket.clock.embedded = time.monotonic()
            self._scheduler.add(ticket.sequence)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        log.error("computing an answer failed", exc_info=error)
        if not isinstance(error, EdgeError):  # its text is for the log, not the client
            error = EngineError("Computing this answer failed. Try again.")
        self._end(ticket, Failed.because(error), keep=False)

    def _end(self, ticket: Ticket, outcome: Terminal, *, keep: bool = True) -> None:
        """The one place where a question ends; a second end does nothing. With `keep`
        what it has computed stays for whoever begins in the same way."""
        sequence = ticket.sequence
        if self._tickets.pop(sequence, None) is None:
            return
        keep = keep and sequence.phase is Phase.DECODE
        for slot in self._scheduler.remove(sequence, keep=keep):
            self._runtime.release(slot)
        self._side.drop_unwanted()
        ticket.events.put(outcome)

    def _end_all(self, reason: EdgeError) -> None:
        for ticket in list(self._tickets.values()):
            self._end(ticket, Failed.because(reason))

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

from edge.engine import progress
from edge.engine.batch import Batch, open_ticket
from edge.engine.costs import Costs
from edge.engine.drafting import Drafter
from edge.engine.encode_queue import PictureKey
from edge.engine.encoder import Embeddings, Encoder, Outcome
from edge.engine.prepare import Prepared, prepare_all
from edge.engine.protocols import Runtime, Tokenizer, VisionTower
from edge.engine.recall import fetch, recall
from edge.engine.scheduler import Admission, Load, Rest, Scheduler, Stage
from edge.engine.sequence import Phase, Sequence, supply_pixels
from edge.engine.slots import Slots
from edge.engine.step import Sampled, Step
from edge.engine.step_watch import StepWatch
from edge.engine.ticket import Clock, EngineThread, Ticket
from edge.errors import Cancelled, EdgeError, EngineError, Unavailable
from edge.events import Embedded, Failed, Started, Terminal
from edge.images import Picture
from edge.qwen3vl.thoughts import thinks
from edge.request import Request

log = logging.getLogger(__name__)


class Engine:
    """Answers up to `runtime.n_slots` questions at once.

    At most `chunk_tokens` of prompts are computed in one step, and `cache_bytes` of
    embeddings of pictures are cached; `encoder.store` may have more. `costs` are those
    measured on this machine. The model's `chat_template` says whether it thinks.
    """

    def __init__(
        self,
        runtime: Runtime,
        tower: VisionTower,
        chunk_tokens: int = 256,
        cache_bytes: int = 64 << 20,
        costs: Costs | None = None,
        chat_template: str = "",
    ) -> None:
        self._runtime = runtime
        self.tokenizer: Tokenizer = runtime
        self.thinks = thinks(chat_template)
        self._prepare = partial(
            prepare_all, runtime=runtime, tower=tower, thinks=self.thinks
        )
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._n_stages = tower.n_stages
        self.tower_name, self.runtime_name = tower.name, runtime.name
        costs = costs or Costs()
        self._scheduler = Scheduler(
            Slots(runtime.n_slots, runtime.n_cells, runtime.n_idle),
            chunk_tokens,
            alternates=self._n_stages > 1,
            costs=costs,
        )
        post = self._inbox.put  # what is posted runs on the engine thread
        self.encoder = Encoder(
            tower,
            cache_bytes,
            lambda job, outcome: post(partial(self._encoded, job.key, outcome)),
            lambda seconds: post(partial(self._end_stage, seconds)),
        )
        self._drafter = Drafter(costs.step.seconds)
        self._load = self._scheduler.load
        self._tickets: dict[Sequence, Ticket] = {}
        self._thread_of = EngineThread(post, self._accept, self._end)
        self._door, self._closing = threading.Lock(), False
        self.watch = StepWatch()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and self.encoder.is_alive

    @property
    def load(self) -> Load:
        """How full it was before its latest step or rest; any thread may ask."""
        return self._load

    @property
    def n_open(self) -> int:
        """How many questions it has; any thread may ask."""
        return len(self._tickets)

    def check(
        self, request: Request, is_wanted: Callable[[], bool] = lambda: True
    ) -> Prepared:
        """Prepares a question, without its pixels, for `submit`, and keeps nothing.
        Raises what `submit` raises for a question that can never be answered."""
        return Prepared.of(request, self._prepare(request, is_wanted=is_wanted))

    def submit(
        self,
        request: Request,
        pictures: Mapping[str, Picture],
        is_wanted: Callable[[], bool] = lambda: True,
        prepared: Prepared | None = None,
    ) -> Ticket | Batch:
        """Accepts a question; `pictures` holds the pixels by sha256. It is prepared
        now, unless `prepared` is the unused result of `check` for an equal request;
        `is_wanted` is called often meanwhile.

        Raises ContextLengthExceeded when it can never fit, InvalidRequest when the
        model cannot sample in this way, Cancelled when it is not wanted any more,
        Unavailable when the engine is closed.
        """
        clock = Clock(time.monotonic())
        sequences = prepared.take(request) if prepared else None
        sequences = sequences or self._prepare(request, is_wanted=is_wanted)
        clock.end("prepare", time.monotonic())
        supply_pixels(sequences, pictures)
        fetch(sequences, self.encoder)
        ticket = open_ticket(request, sequences, clock, self._thread_of, self._runtime)
        with self._door:
            if self._closing or not self.is_alive:
                raise Unavailable("The engine is shutting down.")
            self._inbox.put(ticket.start)
        return ticket

    def close(self) -> None:
        """Fails what is unfinished, ends both threads and frees the models."""
        with self._door:  # no question is accepted behind the message that ends all
            self._closing = True
            self._inbox.put(lambda: self._end_all(Cancelled("The engine has ended.")))
        self._thread.join()
        self.encoder.close()
        self._runtime.close()

    # Everything below runs on the engine thread.

    def _loop(self) -> None:
        try:
            while not self._closing or self._tickets:
                if not self._scheduler.encoder_has_cores:
                    self.watch.begin()
                self._admit()
                self._drafter.draft(self._scheduler.running.values())
                work = self._scheduler.next_work(time.monotonic())
                self._load = self._scheduler.load  # before it may rest
                self._work(work)
                if not self._scheduler.encoder_has_cores:  # a message does not end it
                    self.watch.end()
                while not self._inbox.empty():
                    self._inbox.get()()
        except BaseException:
            log.critical("the engine thread died", exc_info=True)
            self._closing = True
            self._end_all(EngineError("The engine failed. Try again."))

    def _work(self, work: Step | Stage | Rest) -> None:
        if isinstance(work, Rest):
            self._await_message(work.seconds)
        elif isinstance(work, Step):
            self._compute(work)
        elif work.job:
            self.encoder.start(work.job)
        else:
            self.encoder.proceed()

    def _await_message(self, seconds: float | None) -> None:
        """Sleeps until a message comes, and runs it."""
        if not self._scheduler.encoder_has_cores:
            self.watch.pause()
        with suppress(queue.Empty):
            self._inbox.get(timeout=seconds)()

    def _compute(self, step: Step) -> None:
        """Run, advance, postprocess."""
        for sequence, event in progress.prefilling(self._scheduler, step):
            self._tickets[sequence].show(event)
        begun = time.monotonic()
        if (sampled := self._run(step)) is not None:
            ended = time.monotonic()
            self._scheduler.advance(step, ended - begun, ended)
            self._postprocess(sampled)

    def _admit(self) -> None:
        # one by one: the next may share the cells that this one has just been given
        while admission := self._scheduler.admit():
            self._open(admission)

    def _open(self, admission: Admission) -> None:
        sequence, slot = admission.sequence, admission.slot
        ticket = self._tickets[sequence]
        ticket.clock.end("queue", time.monotonic())
        try:
            self._runtime.open(slot, sequence.sampling, sequence.constraint)
            if admission.source is not None:
                self._runtime.share(admission.source, slot, admission.n_positions)
        except Exception as error:
            self._fail(ticket, error)
        for evicted in admission.evicted:
            self._runtime.release(evicted)

    def _run(self, step: Step) -> list[Sampled] | None:
        """None when the step failed: its sequences have ended then, and no others."""
        try:
            return self._runtime.run(step)
        except Exception as error:
            for ticket in [self._in_slot(slot) for slot in step.slots]:
                self._fail(ticket, error)
            return None

    def _postprocess(self, sampled: list[Sampled]) -> None:
        for ticket, each in [(self._in_slot(each.slot), each) for each in sampled]:
            if ticket.sequence.phase is Phase.DONE:
                continue  # with another prompt of the same question
            if isinstance(each.tokens, EngineError):
                self._fail(ticket, each.tokens)
                continue
            if each.state is not None:
                self._end(ticket, ticket.read(each.state))
                continue
            finish_reason = ticket.append(each.tokens, self._runtime, each.logprobs)
            if (position := ticket.sequence.reject_guesses()) is not None:
                self._runtime.rewind(each.slot, position)
            if finish_reason:
                self._end(ticket, ticket.finish(finish_reason, self._runtime))

    def _in_slot(self, slot: int) -> Ticket:
        return self._tickets[self._scheduler.running[slot]]

    def _accept(self, ticket: Ticket) -> None:
        sequence = ticket.sequence
        self._tickets[sequence] = ticket
        ticket.emit(Started(sequence.n_prompt, sequence.n_image))
        for sha256, embeddings in recall(sequence, self.encoder):
            self._receive(ticket, sha256, embeddings)
        self._queue(ticket)

    def _end_stage(self, seconds: float) -> None:
        self._scheduler.end_stage(seconds)
        for sequence, event in progress.encoding(self._scheduler, self._n_stages):
            self._tickets[sequence].show(event)

    def _encoded(self, key: PictureKey, outcome: Outcome) -> None:
        waiting = self._scheduler.end_picture()
        if isinstance(outcome, Cancelled):  # a question that came since needs a new try
            return
        if isinstance(outcome, Exception):  # ends one question; the others try again
            for sequence in waiting[:1]:
                self._fail(self._tickets[sequence], outcome)
            return
        for ticket in [self._tickets[sequence] for sequence in waiting]:
            self._receive(ticket, key.sha256, outcome)
            if not ticket.sequence.missing_pictures:
                self._queue(ticket)

    def _receive(self, ticket: Ticket, sha256: str, embeddings: Embeddings) -> None:
        ticket.sequence.receive(sha256, embeddings)
        ticket.emit(Embedded(len(embeddings)))

    def _queue(self, ticket: Ticket) -> None:
        if not ticket.sequence.missing_pictures:
            ticket.clock.end("embed", time.monotonic())
        self._scheduler.add(ticket.sequence)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        log.error("computing an answer failed", exc_info=error)
        if not isinstance(error, EdgeError):  # its text is for the log, not the client
            error = EngineError("Computing this answer failed. Try again.")
        self._end(ticket, Failed.because(error), retain=False)

    def _end(self, ticket: Ticket, outcome: Terminal, *, retain: bool = True) -> None:
        """The one place where a question ends; a second end does nothing. With `retain`
        its cells stay for prompts that begin in the same way."""
        sequence = ticket.sequence
        if self._tickets.pop(sequence, None) is None:
            return
        self._drafter.forget(sequence)
        if (slot := self._scheduler.slot_of(sequence)) is not None:
            self._runtime.stop(slot)
        retain = retain and sequence.phase is Phase.DECODE
        for slot in self._scheduler.remove(sequence, retain=retain):
            self._runtime.release(slot)
        if self._scheduler.pictures.is_abandoned:
            self.encoder.interrupt()
        ticket.emit(outcome)

    def _end_all(self, reason: EdgeError) -> None:
        for ticket in list(self._tickets.values()):
            self._end(ticket, Failed.because(reason))

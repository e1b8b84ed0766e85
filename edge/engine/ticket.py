"""The handle of a question in the engine: its events, its end, and `cancel`."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import Tokenizer
from edge.engine.repetition import is_stuck
from edge.engine.sequence import Sequence
from edge.engine.step import Logprobs
from edge.errors import EdgeError
from edge.events import (
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilling,
    Terminal,
    Token,
)
from edge.logprobs import ShownLogprobs, TokenLogprob
from edge.qwen3vl.grounding import marks_in
from edge.qwen3vl.thoughts import thoughts_in, without_thoughts
from edge.request import Answer, FinishReason, stills_in
from edge.usage import Timings, Usage

# Between two events of progress: each costs 2 ms of the cores that compute.
SHOW_S = 0.4

Stage = Literal["prepare", "embed", "queue", "prefill"]  # in this order


class Clock:
    """How long each stage of a sequence took; all times are seconds of one monotonic
    clock."""

    def __init__(self, now: float) -> None:
        self._began = self._latest = now
        self._stage_s: dict[Stage, float] = {}

    def end(self, stage: Stage, now: float) -> None:
        """A stage has ended; the next one begins."""
        self._stage_s[stage] = now - self._latest
        self._latest = now

    def timings(self, now: float, n_generated: int) -> Timings:
        """Of an answer that is complete: all stages have ended."""
        stage_s, answer_s = self._stage_s, now - self._latest
        return Timings(
            prepare_ms=1000 * stage_s["prepare"],
            embed_ms=1000 * stage_s["embed"],
            queue_ms=1000 * stage_s["queue"],
            prefill_ms=1000 * stage_s["prefill"],
            ttft_ms=1000 * (self._latest - self._began),
            tpot_ms=1000 * answer_s / (n_generated - 1) if n_generated > 1 else 0.0,
            e2e_ms=1000 * (now - self._began),
        )


@dataclass(frozen=True)
class EngineThread:
    """The engine as its tickets know it: `post` runs a function on its thread, where
    `accept` lets the sequence of a ticket compute and `end` ends it."""

    post: Callable[[Callable[[], None]], None]
    accept: Callable[[Ticket], None]
    end: Callable[[Ticket, Terminal], None]


@dataclass(eq=False)
class Ticket:
    """A submitted question and its events, the last of which is terminal."""

    sequence: Sequence
    clock: Clock
    _engine: EngineThread
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    _shown: dict[type[Event], float] = field(default_factory=dict)
    _n_shown: int = 0  # characters of the answer
    _shown_logprobs: list[TokenLogprob] = field(default_factory=list)
    state: npt.NDArray[np.float32] | None = None  # of its last token, f32 [hidden]

    def __post_init__(self) -> None:
        self._logprobs = ShownLogprobs(self.sequence.written)

    def append(
        self,
        tokens: Iterable[int],
        tokenizer: Tokenizer,
        logprobs: Iterable[Logprobs] = (),
    ) -> FinishReason | None:
        """Adds the sampled tokens of one step to the answer and emits their text, with
        the `logprobs` of each token if they were asked for.
        Returns why the answer ends when one of them ends it; drops those behind it.
        For the engine thread."""
        sequence = self.sequence
        if sequence.n_generated == 0:
            self.clock.end("prefill", time.monotonic())
        sequence.n_steps += 1
        reason: FinishReason | None = None
        for token, each in zip_longest(tokens, logprobs):
            if each:
                piece = tokenizer.piece(token)
                self._logprobs.add(piece, _named(token, each, tokenizer))
            if reason := self._append_one(token, tokenizer):
                break
        if text := sequence.detokenizer.text[self._n_shown :]:
            self._n_shown += len(text)
            shown = self._logprobs.show(text)
            self._shown_logprobs += shown
            self.emit(Token(text, shown))
        return reason

    def _append_one(self, token: int, tokenizer: Tokenizer) -> FinishReason | None:
        """Why the answer ends with this token, if it does."""
        sequence, detokenizer = self.sequence, self.sequence.detokenizer
        sequence.generated.append(token)
        if token in sequence.ends:
            detokenizer.flush()
            return "stop"
        sampling, n = sequence.sampling, sequence.n_generated
        is_short = n <= sampling.min_tokens
        detokenizer.feed(tokenizer.piece(token), may_stop=not is_short)
        is_long = n == sampling.max_tokens
        if not is_short and not sampling.ignore_eos:
            is_long = is_long or is_stuck(sequence.generated, tokenizer.piece)
        if is_long:
            detokenizer.flush()
        if detokenizer.stopped_by:
            return "stop"
        return "length" if is_long else None

    @property
    def n_image(self) -> int:
        return self.sequence.n_image

    def start(self) -> None:
        """Begins with its sequence. For the engine thread."""
        self._engine.accept(self)

    def emit(self, event: Event) -> None:
        self.events.put(event)

    def show(self, event: Encoding | Prefilling) -> None:
        """Emits the first event of its kind, and later ones unless the one before was
        emitted a moment ago."""
        now = time.monotonic()
        if now - self._shown.get(type(event), -SHOW_S) >= SHOW_S:
            self._shown[type(event)] = now
            self.emit(event)

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None when `timeout_s` passes without one."""
        try:
            return self.events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def cancel(self, reason: EdgeError) -> None:
        """Ends the question with `Failed(reason)`, unless it has ended already. Any
        thread may call it."""
        self._engine.post(lambda: self._engine.end(self, Failed.because(reason)))

    def read(self, state: npt.NDArray[np.float32]) -> Finished:
        """The end of a sequence whose result is its `state`."""
        self.state = state
        return Finished(Answer("", "stop"))

    def finish(self, finish_reason: FinishReason, tokenizer: Tokenizer) -> Finished:
        """The end of a complete answer."""
        sequence = self.sequence
        timings = replace(
            self.clock.timings(time.monotonic(), sequence.n_generated),
            drafted_tokens=sequence.n_drafted,
            accepted_tokens=sequence.n_accepted,
            saved_steps=sequence.n_generated - sequence.n_steps,
        )
        text = sequence.detokenizer.text
        answer = Answer(
            text=text,
            finish_reason=finish_reason,
            usage=Usage(
                sequence.n_prompt,
                sequence.n_generated,
                sequence.n_reused,
                reasoning_tokens=self._count_thoughts(tokenizer),
                image_tokens=sequence.n_image,
                memory_image_tokens=sequence.n_memory_image,
                stored_image_tokens=sequence.n_stored_image,
            ),
            timings=timings,
            n_dropped=sequence.n_dropped,
            n_first=sequence.n_first,
            dropped_tools=sequence.dropped_tools,
            max_tokens=sequence.sampling.max_tokens,
            stop=sequence.detokenizer.stopped_by,
            logprobs=None
            if sequence.sampling.logprobs is None
            else tuple(self._shown_logprobs),
            marks=marks_in(
                without_thoughts(text),
                stills_in(sequence.pictures),
                sequence.n_dropped_pictures,
                sequence.labels(tokenizer.piece),
            ),
        )
        return Finished(answer)

    def _count_thoughts(self, tokenizer: Tokenizer) -> int:
        """How many tokens of the answer its thoughts have, with their end."""
        sequence = self.sequence
        thoughts = thoughts_in(sequence.detokenizer.text)
        n_left = len(thoughts.encode()) - len(sequence.written.encode())
        n = 0
        while n_left > 0 and n < sequence.n_generated:
            n_left -= len(tokenizer.piece(sequence.generated[n]))
            n += 1
        return n


def _named(token: int, logprobs: Logprobs, tokenizer: Tokenizer) -> TokenLogprob:
    def text(each: int) -> str:
        return tokenizer.label(each).decode("latin-1")

    likeliest = ((text(each), value) for each, value in logprobs.likeliest)
    return TokenLogprob(text(token), logprobs.chosen, tuple(likeliest))

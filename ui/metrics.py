"""The metrics of the web process: what people experience.

Every question is counted once, when it ends, by outcome and code. Both are defined
here: nothing that a client sends becomes a label.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
)

from edge.caller import ANONYMOUS, Caller
from edge.errors import Cancelled, EdgeError
from edge.events import Embedded, Event, Failed, Finished, Queued, Started, Token
from edge.histogram_buckets import BUCKETS_S, TOKEN_BUCKETS_S
from edge.jobs.record import labels_of
from edge.request import Answer
from edge.usage import Usage
from ui.audit import write_line
from ui.latency import RecentLatencies

ERROR_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
# Tokens of prompts that were not computed again, by kind: the field of their usage
FROM_CACHE = {
    "reused": "cached_tokens",
    "image_memory": "memory_image_tokens",
    "image_stored": "stored_image_tokens",
}
SHORTEST_WAIT_S = 1.0  # shorter waits count as this one: half a second is not felt


class Metrics:
    """The counters and histograms of this process, in a registry of their own."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        by_key: bool = False,
        audits: bool = False,
    ) -> None:
        self.clock = clock
        self.audits = audits
        self.recent = RecentLatencies(clock)
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter(
            "edge_requests", "Questions that have ended.", "outcome", "code"
        )
        self.by_key = by_key
        if by_key:
            self.requests_of_key = self._counter(
                "edge_key_requests", "Questions that have ended.", "key", "outcome"
            )
            self.tokens_of_key = self._counter(
                "edge_key_tokens", "Tokens computed.", "key", "kind"
            )
        self.answer_cache = self._counter(
            "edge_answer_cache", "What the answer cache was asked.", "result"
        )
        self.tokens = self._counter(
            "edge_tokens",
            "Tokens of computed answers and of their prompts; pictures are part of "
            "prompts, and so is what was not computed or encoded again.",
            "kind",
        )
        # Zeros, so that the first of each is already a rise.
        self.requests.labels("finished", "")
        for result in ("hit", "miss", "off"):
            self.answer_cache.labels(result)
        for kind in ("prompt", "picture", "answer", *FROM_CACHE):
            self.tokens.labels(kind)
        seconds = self._histogram
        self.prepare = seconds("prepare", "Decoding the pictures of a question.")
        self.queue = seconds("queue", "From admission to the start in an engine.")
        self.ttft = seconds("ttft", "From a question to the first text.")
        self.e2e = seconds("e2e", "From a question to the end of its answer.")
        self.start_error = Histogram(
            "edge_start_error_ratio",
            "How wrong the first estimate of a start was, as a part of the wait.",
            registry=self.registry,
            buckets=ERROR_BUCKETS,
        )
        self.tpot = seconds("tpot", "Mean per token after the first.", TOKEN_BUCKETS_S)

    @property
    def from_caches(self) -> dict[str, int]:
        """How many answers were known, and how many image tokens were not encoded."""
        sample = self.registry.get_sample_value
        known = sample("edge_answer_cache_total", {"result": "hit"}) or 0
        kinds = ("image_memory", "image_stored")
        tokens = sum(sample("edge_tokens_total", {"kind": k}) or 0 for k in kinds)
        return {"answers": int(known), "image_tokens": int(tokens)}

    def question(self) -> Stopwatch:
        """The running clock of a question that has just come in."""
        return Stopwatch(self)

    def refused(self, error: EdgeError, caller: Caller | None = None) -> None:
        """Counts a request that was refused before it was parsed."""
        watch = self.question()
        watch.of(caller, "")
        watch.refused(error)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...] = BUCKETS_S
    ) -> Histogram:
        return Histogram(
            f"edge_{name}_seconds", about, registry=self.registry, buckets=buckets
        )


@dataclass(frozen=True)
class Estimate:
    """The first estimate of a start: `starts_in_s` seconds after `made_at`."""

    made_at: float
    starts_in_s: float


class Stopwatch:
    """One question on its way past the milestones; its first end is the one counted.

    As a context around all steps before the answer can be followed, it counts an error
    that leaves the block as the end.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._asked = self._admitted = metrics.clock()
        self._first_text: float | None = None
        self._has_started = self._has_ended = False
        self._has_pictures, self._queued_s = False, 0.0
        self._estimate: Estimate | None = None
        self._caller: Caller | None = None
        self._model = ""
        self._usage: Usage | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        match error:
            case None:
                return
            case Cancelled() | asyncio.CancelledError() | GeneratorExit():
                self.cancelled()
            case EdgeError():
                self.refused(error)
            case _:
                self._end("failed", EdgeError.code)

    def of(self, caller: Caller | None, model: str) -> None:
        """Sets the caller and the model of the question."""
        self._caller, self._model = caller, model

    def refused(self, error: EdgeError) -> None:
        self._end("refused", error.code)

    def prepared(self) -> None:
        """Its pictures are decoded."""
        self._metrics.prepare.observe(self._metrics.clock() - self._asked)

    def admitted(self) -> None:
        self._admitted = self._metrics.clock()

    def record_event(self, event: Event | None) -> None:
        """Records an event of its job on its way to the client."""
        metrics = self._metrics
        match event:
            case Queued(_, float(starts_in_s)) if self._estimate is None:
                self._estimate = Estimate(metrics.clock(), starts_in_s)
            case Started(_, image_tokens) if not self._has_started:
                self._has_started = True
                self._has_pictures = image_tokens > 0
                self._compare()
                self._queued_s = metrics.clock() - self._admitted
                metrics.queue.observe(self._queued_s)
            case Embedded(image_tokens):
                metrics.tokens.labels("picture").inc(image_tokens)
            case Token() if self._first_text is None:
                self._first_text = metrics.clock()
            case Finished(answer):
                n_computed = 0
                self._usage = answer.usage
                if self._has_started:  # else the answer was known
                    n_computed = answer.usage.completion_tokens
                    metrics.tokens.labels("prompt").inc(answer.usage.prompt_tokens)
                    for kind, field in FROM_CACHE.items():
                        metrics.tokens.labels(kind).inc(getattr(answer.usage, field))
                    metrics.tokens.labels("answer").inc(n_computed)
                    if metrics.by_key and self._caller:
                        self._count_tokens(self._caller.tenant, answer.usage)
                    self._remember(answer)
                self._finish(n_computed)
            case Failed():
                self._end(*labels_of(event))

    def _remember(self, answer: Answer) -> None:
        """Keeps how long each stage of a computed answer took."""
        times, n_tokens = answer.timings, answer.usage.completion_tokens
        seconds = {
            "queue": self._queued_s + times.queue_ms / 1000,
            "prefill": times.prefill_ms / 1000,
            "decode": times.tpot_ms * max(n_tokens - 1, 0) / 1000,
            "e2e": self._metrics.clock() - self._asked,
        }
        if self._has_pictures:
            seconds["encode"] = times.embed_ms / 1000
        tenant = self._caller.tenant if self._caller else ANONYMOUS
        self._metrics.recent.add(tenant, seconds)

    def _compare(self) -> None:
        """Compares the first estimate of the start with the start."""
        if self._estimate is not None:
            waited_s = self._metrics.clock() - self._estimate.made_at
            error_s = abs(self._estimate.starts_in_s - waited_s)
            error = error_s / max(waited_s, SHORTEST_WAIT_S)
            self._metrics.start_error.observe(error)

    def cancelled(self) -> None:
        """The client has left; ignored after the end."""
        self._end("cancelled", Cancelled.code)

    def _finish(self, n_computed: int) -> None:
        if self._has_ended:  # with another of its answers
            return
        self._observe_pace(n_computed)
        now = self._metrics.clock()
        first_text = now if self._first_text is None else self._first_text
        self._metrics.ttft.observe(first_text - self._asked)
        self._metrics.e2e.observe(now - self._asked)
        self._end("finished", "")

    def _observe_pace(self, n_computed: int) -> None:
        if n_computed > 1:
            now = self._metrics.clock()
            first_text = now if self._first_text is None else self._first_text
            self._metrics.tpot.observe((now - first_text) / (n_computed - 1))

    def _end(self, outcome: str, code: str) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._metrics.requests.labels(outcome, code).inc()
        if self._metrics.by_key and self._caller:
            self._metrics.requests_of_key.labels(self._caller.tenant, outcome).inc()
        if self._metrics.audits:
            seconds = self._metrics.clock() - self._asked
            write_line(self._caller, self._model, outcome, code, self._usage, seconds)

    def _count_tokens(self, key: str, usage: Usage) -> None:
        tokens = self._metrics.tokens_of_key
        tokens.labels(key, "prompt").inc(usage.prompt_tokens)
        tokens.labels(key, "answer").inc(usage.completion_tokens)

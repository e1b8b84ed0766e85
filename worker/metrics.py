"""The metrics of a worker: the engine's timings and load, on a port of their own.

The engine does not know of them: it has plain figures, which each scrape reads.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.engine.engine import Engine
from edge.errors import SetupError
from edge.events import Finished, Terminal
from edge.histogram_buckets import BUCKETS_S, TOKEN_BUCKETS_S
from edge.jobs.record import labels_of
from edge.request import NO_SLOT, Answer, Request
from worker.cache_metrics import Caches
from worker.embedding_store import EmbeddingStore

log = logging.getLogger(__name__)

AGAIN_S = 2.0  # until a port in use is tried again
FROM_CACHE = ("image_memory", "image_stored")  # of the image tokens


class Metrics:
    """The counters and histograms of this process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "requests", "Jobs that this worker has ended.", "outcome", "code"
        )
        self._tokens = self._counter("tokens", "Tokens of finished answers.", "kind")
        self._drafts = self._counter(
            "draft_tokens", "Guessed tokens of finished answers, all and right.", "kind"
        )
        self._saved_steps = self._counter(
            "saved_steps", "Steps that finished answers took less than tokens."
        )
        # Zeros, so that the first of each is already an increase.
        self._requests.labels("finished", "")
        for kind in ("prompt", "reused", "image", *FROM_CACHE, "answer"):
            self._tokens.labels(kind)
        for kind in ("drafted", "accepted"):
            self._drafts.labels(kind)
        seconds = self._histogram
        self._prepare = seconds("prepare", "Template and tokens of a prompt.")
        self._embed = seconds("embed", "Pictures in the vision tower, waiting for it.")
        self._queue = seconds("queue", "Waiting for a slot and its cells.")
        self._prefill = seconds("prefill", "From a slot to the first token.")
        self._ttft = seconds("ttft", "From arrival to the first token.")
        self._tpot = seconds("tpot", "Mean per later token.", TOKEN_BUCKETS_S)
        self._e2e = seconds("e2e", "From arrival to the last token.")

    def watch(
        self, engine: Engine, kv_bytes: int, store: EmbeddingStore | None
    ) -> None:
        """Adds the load of the engine, which has `kv_bytes` of KV cells, and its caches
        to the metrics."""
        self.registry.register(EngineLoad(engine))
        self.registry.register(Caches(engine, kv_bytes, store))

    def ended(self, request: Request, outcome: Terminal) -> None:
        """Counts a job that this worker has ended."""
        self._requests.labels(*labels_of(outcome)).inc()
        if isinstance(outcome, Finished) and request.wants not in NO_SLOT:
            self._finished(request, outcome.answer)

    def _finished(self, request: Request, answer: Answer) -> None:
        usage, times = answer.usage, answer.timings
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("reused").inc(usage.cached_tokens)
        self._tokens.labels("image").inc(usage.image_tokens)
        self._tokens.labels("image_memory").inc(usage.memory_image_tokens)
        self._tokens.labels("image_stored").inc(usage.stored_image_tokens)
        self._tokens.labels("answer").inc(usage.completion_tokens)
        self._drafts.labels("drafted").inc(times.drafted_tokens)
        self._drafts.labels("accepted").inc(times.accepted_tokens)
        self._saved_steps.inc(times.saved_steps)
        if request.has_many_prompts:  # no answer has a time like theirs
            return
        self._prepare.observe(times.prepare_ms / 1000)
        self._queue.observe(times.queue_ms / 1000)
        self._prefill.observe(times.prefill_ms / 1000)
        self._ttft.observe(times.ttft_ms / 1000)
        self._e2e.observe(times.e2e_ms / 1000)
        if request.pictures:
            self._embed.observe(times.embed_ms / 1000)
        if usage.completion_tokens > 1:
            self._tpot.observe(times.tpot_ms / 1000)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"edge_engine_{name}", about, labels, registry=self.registry)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...] = BUCKETS_S
    ) -> Histogram:
        name = f"edge_engine_{name}_seconds"
        return Histogram(name, about, registry=self.registry, buckets=buckets)


class EngineLoad(Collector):
    """An engine's load at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        load = self._engine.load
        for name, about, value in (
            ("slots", "Answers it can compute at once.", load.n_slots),
            ("busy_slots", "Answers being computed.", load.n_busy_slots),
            ("cells", "Tokens that all running answers share.", load.n_cells),
            ("reserved_cells", "Those that they may need.", load.n_reserved_cells),
            ("kept_cells", "Those that only ended answers hold.", load.n_idle_cells),
        ):
            yield GaugeMetricFamily(f"edge_engine_{name}", about, value)
        # Two counters give the mean batch between any two scrapes; the size of the
        # one step during a scrape says next to nothing.
        for name, about, value in (
            ("steps", "Batches computed.", load.n_steps),
            ("batch_rows", "Tokens in them.", load.n_tokens),
        ):
            yield CounterMetricFamily(f"edge_engine_{name}", about, value)


def serve(metrics: Metrics, address: str, port: int) -> WSGIServer | None:
    """Answers scrapes at `port` from a thread of its own. While another process has
    the port, as the worker whose place this one takes, it waits, and returns None.

    Raises SetupError for an address or a port that cannot be had at all.
    """
    try:
        return start_http_server(port, address, metrics.registry)[0]
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SetupError(
                f"EDGE_METRICS_PORT={port} cannot be used on {address}: "
                f"{error.strerror}. Choose another."
            ) from None
        log.warning("EDGE_METRICS_PORT=%d is in use: no metrics until it is free", port)
        waiting = Thread(target=_serve_later, args=(metrics, address, port))
        waiting.daemon = True
        waiting.start()
        return None


def _serve_later(metrics: Metrics, address: str, port: int) -> None:
    while True:
        time.sleep(AGAIN_S)
        with suppress(OSError):
            start_http_server(port, address, metrics.registry)
            log.info("metrics are served at port %d", port)
            return

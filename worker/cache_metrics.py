"""The metrics of a worker's caches: prefixes and pictures in memory, and pictures in
the cache server. How many tokens they saved is among the tokens of `worker.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.engine.engine import Engine
from worker.embedding_store import EmbeddingStore


class Caches(Collector):
    """The caches of an engine with `kv_bytes` of KV cells, at each scrape."""

    def __init__(
        self, engine: Engine, kv_bytes: int, store: EmbeddingStore | None
    ) -> None:
        self._engine = engine
        self._kv_bytes = kv_bytes
        self._store = store

    def collect(self) -> Iterator[Metric]:
        load = self._engine.load
        n_bytes = GaugeMetricFamily(
            "edge_engine_cache_bytes",
            "Memory of what earlier questions have left, by cache.",
            labels=["cache"],
        )
        prefix_bytes = self._kv_bytes * load.n_idle_cells / load.n_cells
        n_bytes.add_metric(["prefixes"], prefix_bytes)
        n_bytes.add_metric(["pictures"], self._engine.encoder.cached_bytes)
        yield n_bytes
        if self._store is not None:
            lookups = CounterMetricFamily(
                "edge_engine_stored_pictures",
                "Pictures that were looked for in the cache server.",
                labels=["result"],
            )
            for result, n in self._store.results.items():
                lookups.add_metric([result], n)
            yield lookups

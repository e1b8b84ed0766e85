"""The engine's store of picture embeddings: the cache server, with little patience.

A server that is away, slow or full costs a few milliseconds and is a miss; then nobody
asks it for PAUSE_S.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Literal, TypeVar, get_args

from edge.jobs import embeddings
from edge.jobs.embeddings import Damaged, Embeddings, Entry
from edge.redis_clients import UNREACHABLE, hears, sync_client

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_S: Final = 0.05  # for the header, of a few hundred bytes
FETCH_S: Final = 0.5  # for the rows: 16 MB over a network of 1 Gbit/s take 0.14 s
PAUSE_S: Final = 5.0
# Of pictures to be stored, which stay in memory meanwhile; each counts LEAST_BYTES or
# more, and so does a deletion.
MOST_WAITING_BYTES: Final = 32 << 20
LEAST_BYTES: Final = 1 << 20

Result = Literal["hit", "miss", "damaged", "away"]


class EmbeddingStore:
    """Embeddings in the cache server at `url`, of the vision encoder that `fingerprint`
    names. Implements `edge.engine.protocols.EmbeddingStore` for `n_readers` threads."""

    def __init__(self, url: str, fingerprint: str, n_readers: int) -> None:
        self._cache = sync_client(url)
        self._fingerprint = fingerprint
        self._away_until = 0.0
        self._readers = ThreadPoolExecutor(n_readers, "embeddings-read")
        self._writer = ThreadPoolExecutor(1, "embeddings-write")
        self._n_waiting = 0  # bytes
        self._lock = threading.Lock()
        self._results: Counter[Result] = Counter()
        # The first lookup has no time to connect.
        self._readers.submit(hears, self._cache)

    @property
    def results(self) -> dict[Result, int]:
        """How many lookups had each result so far."""
        with self._lock:
            return {result: self._results[result] for result in get_args(Result)}

    def get(
        self, scope: str, sha256: str, grid: tuple[int, int], width: int
    ) -> Embeddings | None:
        """See the protocol. Returns within LOOK_S + FETCH_S, and at once while nobody
        asks the server."""
        entry = Entry(self._fingerprint, scope, sha256, *grid, width)
        found = None
        result: Result = "away"
        if time.monotonic() >= self._away_until:
            try:
                found = self._fetch(entry)
                result = "miss" if found is None else "hit"
            except Damaged as error:
                log.warning("embeddings in the cache are deleted: %s", error)
                self._write(0, lambda: embeddings.delete(self._cache, entry))
                result = "damaged"
            except UNREACHABLE as error:  # TimeoutError is among them
                self._note_away(error)
        with self._lock:
            self._results[result] += 1
        return found

    def put(
        self, scope: str, sha256: str, grid: tuple[int, int], rows: Embeddings
    ) -> None:
        """See the protocol. Skips what is new while others wait, and both would have
        more than MOST_WAITING_BYTES."""
        entry = Entry(self._fingerprint, scope, sha256, *grid, rows.shape[1])
        self._write(rows.nbytes, lambda: embeddings.put(self._cache, entry, rows))

    def close(self) -> None:
        """Waits for nothing but the command being sent."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self._cache.close()

    def _fetch(self, entry: Entry) -> Embeddings | None:
        checksum = self._within(LOOK_S, lambda: embeddings.look(self._cache, entry))
        if checksum is None:
            return None
        return self._within(
            FETCH_S, lambda: embeddings.fetch(self._cache, entry, checksum)
        )

    def _within(self, seconds: float, command: Callable[[], T]) -> T:
        """The result of `command`. Raises TimeoutError after `seconds`; the command may
        take longer, in its own thread."""
        return self._readers.submit(command).result(seconds)

    def _write(self, n_bytes: int, command: Callable[[], None]) -> None:
        n_bytes = max(n_bytes, LEAST_BYTES)
        with self._lock:
            if self._n_waiting and self._n_waiting + n_bytes > MOST_WAITING_BYTES:
                return
            self._n_waiting += n_bytes

        def work() -> None:
            try:
                if time.monotonic() >= self._away_until:
                    command()
            except UNREACHABLE as error:
                self._note_away(error)
            finally:
                with self._lock:
                    self._n_waiting -= n_bytes

        with suppress(RuntimeError):  # after `close`
            self._writer.submit(work)

    def _note_away(self, error: Exception) -> None:
        log.warning("no embeddings from the cache: %s", error or "it is slow")
        self._away_until = time.monotonic() + PAUSE_S

"""The encoder thread: the only place where the vision encoder computes."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.engine.encode_queue import EncodeJob, PictureKey
from edge.engine.protocols import EmbeddingStore, VisionTower
from edge.engine.step_watch import StepWatch
from edge.errors import Cancelled
from edge.images import Picture

REST_S: Final = 10.0  # without a picture

Embeddings = npt.NDArray[np.float16]
Outcome = Embeddings | Exception


class Encoder:
    """Encodes one picture at a time, and caches at most `cache_bytes` of embeddings;
    it puts them into the `store` too, once that is set.

    Between two stages it calls `paused` with the seconds of the first, and waits for
    `proceed`. It calls `done` with each job and its embeddings, or with the error:
    Cancelled after an interrupt. Both are called on the encoder thread; the scheduler
    decides when each job and each stage begins.
    """

    def __init__(
        self,
        tower: VisionTower,
        cache_bytes: int,
        done: Callable[[EncodeJob, Outcome], None],
        paused: Callable[[float], None],
    ) -> None:
        self._tower = tower
        self.cache_bytes = cache_bytes
        self._cache = _Cache(cache_bytes)
        self.store: EmbeddingStore | None = None
        self._done = done
        self._paused = paused
        self._is_abandoned = False
        self._may_proceed = threading.Event()
        self.watch = StepWatch()  # of its stages
        self._jobs: queue.SimpleQueue[EncodeJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="encoder", daemon=True)
        self._thread.start()

    def recall(self, key: PictureKey) -> Embeddings | None:
        """The embeddings of a picture that was encoded before, if they are cached."""
        return self._cache.get(key)

    def fetch(self, key: PictureKey, picture: Picture) -> Embeddings | None:
        """The embeddings of a picture from the store, unless they are cached here: they
        are from now on. Blocks; for the thread that asks a question."""
        if self.store is None or self._cache.get(key) is not None:
            return None
        found = self.store.get(*key, self._grid(picture), self._tower.width)
        if found is not None:
            self._cache.add(key, found)
        return found

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def cached_bytes(self) -> int:
        """Of embeddings in memory."""
        return self._cache.n_bytes

    def start(self, job: EncodeJob) -> None:
        """Encodes a picture; the job before it must be done."""
        self._is_abandoned = False
        self._may_proceed.clear()
        self._jobs.put(job)

    def proceed(self) -> None:
        """Ends the pause of the present job."""
        self._may_proceed.set()

    def interrupt(self) -> None:
        """Ends the present job before it begins, or at its next pause."""
        self._is_abandoned = True
        self._may_proceed.set()

    def close(self) -> None:
        """Interrupts the present job, ends the thread and frees the model."""
        self.interrupt()
        self._jobs.put(None)
        self._thread.join()
        self._tower.close()

    def _loop(self) -> None:
        while self._encode_next():
            pass  # a local variable here would keep the last embeddings alive

    def _next_job(self) -> EncodeJob | None:
        """None at the end. Lets the tower rest when no picture comes for a while."""
        with suppress(queue.Empty):
            return self._jobs.get(timeout=REST_S)
        self._tower.rest()
        return self._jobs.get()

    def _encode_next(self) -> bool:
        """False at the end."""
        if (job := self._next_job()) is None:
            return False
        outcome: Outcome
        self.watch.begin()
        try:
            self._raise_if_abandoned()
            outcome = self._tower.embed(job.picture, self._pause)
        except Exception as error:
            outcome = error
        else:
            self._keep(job, outcome)
        self._end_stage()
        self._done(job, outcome)
        # An error knows this frame, which would know it: megabytes until Python looks.
        del outcome
        return True

    def _keep(self, job: EncodeJob, embeddings: Embeddings) -> None:
        if not job.is_kept:
            return
        self._cache.add(job.key, embeddings)
        if self.store is not None:
            self.store.put(*job.key, self._grid(job.picture), embeddings)

    def _grid(self, picture: Picture) -> tuple[int, int]:
        return self._tower.grid(picture.width, picture.height, picture.n_frames)

    def _pause(self) -> None:
        self._raise_if_abandoned()
        self._paused(self._end_stage())
        self._may_proceed.wait()
        self._may_proceed.clear()
        self._raise_if_abandoned()
        self.watch.begin()

    def _end_stage(self) -> float:
        """Its seconds."""
        seconds = self.watch.silent_s
        self.watch.end()
        self.watch.pause()
        return seconds

    def _raise_if_abandoned(self) -> None:
        if self._is_abandoned:
            raise Cancelled("No question waits for this picture any more.")


class _Cache:
    """Embeddings by picture; evicts the least recently used. For any thread."""

    def __init__(self, most_bytes: int) -> None:
        self.n_bytes = 0
        self._most_bytes = most_bytes
        self._entries: OrderedDict[PictureKey, Embeddings] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: PictureKey) -> Embeddings | None:
        with self._lock:
            if (found := self._entries.get(key)) is not None:
                self._entries.move_to_end(key)
            return found

    def add(self, key: PictureKey, embeddings: Embeddings) -> None:
        """Replaces those of the same picture."""
        with self._lock:
            if (old := self._entries.pop(key, None)) is not None:
                self.n_bytes -= old.nbytes
            self._entries[key] = embeddings
            self.n_bytes += embeddings.nbytes
            while self.n_bytes > self._most_bytes:
                _, oldest = self._entries.popitem(last=False)
                self.n_bytes -= oldest.nbytes

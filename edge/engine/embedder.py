"""Pictures in, embeddings out, each picture once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import VisionTower
from edge.engine.side import Order, SideThread
from edge.images import Picture

Embeddings = npt.NDArray[np.float32]


class Embedder:
    """Lets the tower read pictures on the side thread, and remembers the latest: at
    most `keep_bytes` of embeddings."""

    def __init__(self, tower: VisionTower, keep_bytes: int, side: SideThread) -> None:
        self._tower = tower
        self._kept = _Kept(keep_bytes)
        self._side = side

    def embed(
        self,
        picture: Picture,
        is_wanted: Callable[[], bool],
        done: Callable[[Embeddings | Exception], None],
    ) -> None:
        """Calls `done` with the embeddings or what went wrong: at once when they are
        remembered, else later on the side thread."""
        if (embeddings := self._kept.get(picture)) is not None:
            done(embeddings)
            return
        compute = partial(self._embed, picture)
        self._side.add(Order(compute, self._tower.interrupt, is_wanted, done))

    def _embed(self, picture: Picture) -> Embeddings:
        # An order before this one may have been for an equal picture.
        if (embeddings := self._kept.get(picture)) is None:
            embeddings = self._tower.embed(picture)
            self._kept.add(picture, embeddings)
        return embeddings


class _Kept:
    """Embeddings by picture, the longest unused out first. For any thread."""

    def __init__(self, n_bytes: int) -> None:
        self._room_bytes = n_bytes
        self._held: OrderedDict[str, Embeddings] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, picture: Picture) -> Embeddings | None:
        with self._lock:
            if (found := self._held.get(picture.ref.sha256)) is not None:
                self._held.move_to_end(picture.ref.sha256)
            return found

    def add(self, picture: Picture, embeddings: Embeddings) -> None:
        with self._lock:
            self._held[picture.ref.sha256] = embeddings
            self._room_bytes -= embeddings.nbytes
            while self._room_bytes < 0:
                _, oldest = self._held.popitem(last=False)
                self._room_bytes += oldest.nbytes

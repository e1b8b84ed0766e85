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
Name = tuple[str, str]  # of a picture: the scope it was sent in, and its sha256


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
        scope: str,
        is_wanted: Callable[[], bool],
        done: Callable[[Embeddings | Exception], None],
    ) -> None:
        """Calls `done` with the embeddings or what went wrong: at once when they are
        remembered of this scope, else later on the side thread."""
        name = (scope, picture.ref.sha256)
        if (embeddings := self._kept.get(name)) is not None:
            done(embeddings)
            return
        compute = partial(self._embed, picture, name)
        self._side.add(Order(compute, self._tower.interrupt, is_wanted, done))

    def _embed(self, picture: Picture, name: Name) -> Embeddings:
        # An order before this one may have been for an equal picture.
        if (embeddings := self._kept.get(name)) is None:
            embeddings = self._tower.embed(picture)
            self._kept.add(name, embeddings)
        return embeddings


class _Kept:
    """Embeddings by picture, the longest unused out first. For any thread."""

    def __init__(self, n_bytes: int) -> None:
        self._room_bytes = n_bytes
        self._held: OrderedDict[Name, Embeddings] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Name) -> Embeddings | None:
        with self._lock:
            if (found := self._held.get(name)) is not None:
                self._held.move_to_end(name)
            return found

    def add(self, name: Name, embeddings: Embeddings) -> None:
        with self._lock:
            self._held[name] = embeddings
            self._room_bytes -= embeddings.nbytes
            while self._room_bytes < 0:
                _, oldest = self._held.popitem(last=False)
                self._room_bytes += oldest.nbytes

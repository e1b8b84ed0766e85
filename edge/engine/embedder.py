"""The tower's thread: pictures in, embeddings out, beside the engine's thread."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import VisionTower
from edge.errors import Cancelled
from edge.images import Picture

Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Order:
    picture: Picture
    is_wanted: Callable[[], bool]
    done: Callable[[Embeddings | Exception], None]


class Embedder:
    """Embeds one picture at a time, in the order they were asked for, and remembers
    the latest: at most `keep_bytes` of embeddings.

    After each picture it waits for `go_on`: the language model has to compute that one
    before another helps anybody, and both at once would take each other's cores.
    """

    def __init__(self, tower: VisionTower, keep_bytes: int) -> None:
        self._tower = tower
        self._kept = _Kept(keep_bytes)
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._in_hand: _Order | None = None
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._thread = threading.Thread(target=self._loop, name="embedder", daemon=True)
        self._thread.start()

    def embed(
        self,
        picture: Picture,
        is_wanted: Callable[[], bool],
        done: Callable[[Embeddings | Exception], None],
    ) -> None:
        """Calls `done` with the embeddings or what went wrong: at once when they are
        remembered, else later on the tower's thread.

        `is_wanted` is asked when the picture's turn comes: nobody's is skipped.
        """
        if (embeddings := self._kept.get(picture)) is not None:
            done(embeddings)
        else:
            self._orders.put(_Order(picture, is_wanted, done))

    @property
    def is_busy(self) -> bool:
        """Whether the tower computes, or is just about to."""
        return self._in_hand is not None

    def go_on(self) -> None:
        """Lets the next picture be embedded."""
        self._may_go_on.set()

    def drop_unwanted(self) -> None:
        """Interrupts the tower if nobody wants the picture in hand any more."""
        order = self._in_hand
        if order and not order.is_wanted():
            self._tower.interrupt()

    def close(self) -> None:
        """Ends the thread after the picture in hand, then frees the tower."""
        self._orders.put(None)
        self._may_go_on.set()
        self._thread.join()
        self._tower.close()

    def _loop(self) -> None:
        while order := self._orders.get():
            if order.is_wanted():
                self._may_go_on.wait()
            self._in_hand = order
            outcome = self._outcome(order)
            self._in_hand = None
            if outcome is not None:
                self._may_go_on.clear()
                order.done(outcome)

    def _outcome(self, order: _Order) -> Embeddings | Exception | None:
        """None when nobody wants it any more."""
        # An interrupt that came late may have met the next picture: once more then.
        while order.is_wanted():
            try:
                return self._embed(order.picture)
            except Cancelled:
                continue
            except Exception as error:
                return error
        return None

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

"""The tower's thread: pictures in, embeddings out, beside the engine's thread."""

from __future__ import annotations

import queue
import threading
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
    """Embeds one picture at a time, in the order they were asked for."""

    def __init__(self, tower: VisionTower) -> None:
        self._tower = tower
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._in_hand: _Order | None = None
        self._thread = threading.Thread(target=self._loop, name="embedder", daemon=True)
        self._thread.start()

    def embed(
        self,
        picture: Picture,
        is_wanted: Callable[[], bool],
        done: Callable[[Embeddings | Exception], None],
    ) -> None:
        """Calls `done` on the tower's thread with the embeddings or what went wrong.

        `is_wanted` is asked when the picture's turn comes: nobody's is skipped.
        """
        self._orders.put(_Order(picture, is_wanted, done))

    def drop_unwanted(self) -> None:
        """Interrupts the tower if nobody wants the picture in hand any more."""
        order = self._in_hand
        if order and not order.is_wanted():
            self._tower.interrupt()

    def close(self) -> None:
        """Ends the thread after the picture in hand, then frees the tower."""
        self._orders.put(None)
        self._thread.join()
        self._tower.close()

    def _loop(self) -> None:
        while order := self._orders.get():
            self._in_hand = order
            # An interrupt that came late may have met the next picture: once more then.
            while order.is_wanted():
                try:
                    order.done(self._tower.embed(order.picture))
                except Cancelled:
                    continue
                except Exception as error:
                    order.done(error)
                break
            self._in_hand = None

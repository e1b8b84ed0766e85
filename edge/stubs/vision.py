"""A vision encoder without a model: fast, deterministic, and never right."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge.images import Picture


class StubTower:
    """Gives each picture its own constant vector, after `seconds` of sleep in
    `n_stages`; with one stage it cannot pause."""

    name = "stub"

    def __init__(self, width: int = 8, seconds: float = 0.0, n_stages: int = 8) -> None:
        self.width = width
        self.seconds = seconds
        self.n_stages = n_stages

    def grid(self, width: int, height: int, n_frames: int = 1) -> tuple[int, int]:
        return -(-height // 32), -(-width // 32)

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        for stage in range(self.n_stages):
            if stage:
                pause()
            time.sleep(self.seconds / self.n_stages)
        rows, columns = self.grid(picture.width, picture.height)
        digest = hashlib.sha256(picture.rgb).digest()
        level = int.from_bytes(digest[:2], "big") / 65535
        return np.full((rows * columns, self.width), level, dtype=np.float16)

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass

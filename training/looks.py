"""Pictures for training the vision tower alone, in batches of one grid."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch.utils.data import Dataset

from edge.images import TOKEN_PX, Picture
from edge.qwen3vl import preprocess
from training import draw, fonts, scenes
from training.edges import Edges, edges_of, stack
from training.fonts import Font
from training.scenes import Scene

SIZE: Final = 12  # pictures of a batch
OTHER: Final = 3  # of them without shapes, so that reading is not forgotten
# Rows and columns that pictures of 64 to 96 tokens have, about as often. Trained with
# five of them alone, a tower read 95 % of boxes there, and 80 % in all others.
_UPRIGHT: Final = (
    *((11, 8), (12, 7), (10, 9)) * 2,
    *((13, 7), (10, 8), (14, 6), (12, 6), (9, 8), (10, 7), (11, 7)),
    *((13, 6), (11, 6), (12, 8)),
)
GRIDS: Final = (*_UPRIGHT, *((b, a) for a, b in _UPRIGHT), (9, 9), (9, 9), (8, 8))
EASY: Final = 0.5  # how hard the first pictures are
HARD: Final = 500  # batches until anything is drawn


@dataclass(frozen=True)
class Look:
    """A batch."""

    patches: npt.NDArray[np.uint8]  # [pictures, patches, 3 * 16 * 16]
    grid: tuple[int, int]  # rows and columns of cells
    edges: Edges

    def first(self, n: int) -> Look:
        """Of some pictures, without their edges."""
        return replace(self, patches=self.patches[:n])


def look(
    rng: Random,
    some_fonts: tuple[Font, ...],
    hard: float,
    size: int = SIZE,
    other: int = OTHER,
    *,
    turn: bool = True,
) -> Look:
    """Random pictures, the `other` ones first. Those of shapes are mirrored and
    transposed if `turn`: an edge stays an edge."""
    grid = rng.choice(GRIDS)
    style = draw.Style(some_fonts, 0.35 * hard, 0.35 * hard, 0.35 * hard)
    pictures, edges = [], []
    for n in range(size):
        is_other = n < other
        flip = turn and not is_other and rng.random() < 0.5
        rows, columns = reversed(grid) if flip else grid
        scene = _other(rng) if is_other else scenes.shapes(rng, columns / rows, hard)
        drawn = _drawn(rng, scene, rows, columns, hard, style)
        pixels, things = np.asarray(drawn.image), np.asarray(drawn.things)
        if flip:
            pixels, things = pixels.transpose(1, 0, 2), things.T
        for axis in (0, 1):
            if turn and not is_other and rng.random() < 0.5:
                pixels, things = np.flip(pixels, axis), np.flip(things, axis)
        height, width, _ = pixels.shape
        picture = Picture(width, height, np.ascontiguousarray(pixels).tobytes())
        pictures.append(preprocess.patches(picture))
        n_things = 0 if is_other else len(drawn.centres)
        edges.append(edges_of(things, n_things, *grid))
    return Look(np.stack(pictures), grid, stack(edges))


def _other(rng: Random) -> Scene:
    return rng.choice(
        (scenes.writing(rng), scenes.writing(rng), scenes.number(rng), scenes.Other())
    )


def _drawn(
    rng: Random, scene: Scene, rows: int, columns: int, hard: float, style: draw.Style
) -> draw.Drawn:
    """In the size of the grid, sometimes drawn in another size and resized."""
    size = columns * TOKEN_PX, rows * TOKEN_PX
    scale = math.exp(rng.uniform(-0.7, 0.7)) if rng.random() < 0.5 * hard else 1.0
    width, height = (round(side * scale) for side in size)
    drawn = draw.draw(rng, scene, width, height, style)
    if drawn.image.size != size:
        drawn.image = drawn.image.resize(size, Image.Resampling.BICUBIC)
        drawn.things = drawn.things.resize(size, Image.Resampling.NEAREST)
    return drawn


class Looks(Dataset[Look]):
    """Made in another process, some ahead; `k` is a function of the seed and `k`."""

    def __init__(self, seed: int, first: int, last: int) -> None:
        self._seed = seed
        self._steps = range(first, last)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, n: int) -> Look:
        if not hasattr(self, "_fonts"):
            os.nice(5)  # as in `training.train`
            self._fonts = fonts.training_fonts()
        k = self._steps[n]
        rng = Random(f"{self._seed} looks {k}")
        return look(rng, self._fonts, min(EASY + k / HARD, 1.0))


def held_out(seed: int, n: int) -> list[Look]:
    """For measuring: 12 pictures of shapes each, of any difficulty."""
    rngs = [Random(f"held out {seed} {k}") for k in range(n)]
    return [look(rng, fonts.held_out(), 1.0, 12, 0, turn=False) for rng in rngs]


def drawn_for_fit(seed: int, n: int) -> list[Look]:
    some = fonts.training_fonts()
    rngs = [Random(f"heads {seed} {k}") for k in range(n)]
    return [look(rng, some, 1.0, SIZE, 0) for rng in rngs]

"""Edges of objects, as targets of the vision tower.

The language model can only say where an object begins and ends if the tower has found
it: each patch of an object shall know the four edges of the whole object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.images import TOKEN_PX
from training.draw import Drawn

COVERED: Final = 0.04  # of a patch, from which on it belongs to an object

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Edges:
    """Targets of a patch each, in the order of `preprocess.patches`; those of several
    pictures are stacked."""

    owner: npt.NDArray[np.int64]  # [patches]: number of the object, 0 = none
    whole: Floats  # [patches, 4]: left, top, right, bottom of it, as fractions
    part: Floats  # [patches, 4]: the same of what is in this patch, of the patch
    share: Floats  # [patches]: the part of the patch that it covers


def edges_of(things: npt.NDArray[np.uint8], n: int, rows: int, columns: int) -> Edges:
    """Of one picture, given `Drawn.things` with `n` objects in the size of its grid."""
    height, width = things.shape
    boxes = np.zeros((n + 1, 4), np.float32)
    for k in range(1, n + 1):
        ys, xs = (np.flatnonzero((things == k).any(axis)) for axis in (1, 0))
        if len(xs):
            boxes[k] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    boxes /= (width, height, width, height)
    side = height // (2 * rows)
    cut = things.reshape(rows, 2, side, columns, 2, side).transpose(0, 3, 1, 4, 2, 5)
    cut = cut.reshape(-1, side, side)
    counts = np.stack([(cut == k).sum((1, 2)) for k in range(n + 1)], axis=1)
    counts[:, 0] = 0
    share = counts.max(1) / side**2
    owner = np.where(share < COVERED, 0, counts.argmax(1))
    here = cut == owner[:, None, None]
    lines = here.any(1), here.any(2)  # columns and rows with a part of the object
    starts = [line.argmax(1) / side for line in lines]
    ends = [1 - line[:, ::-1].argmax(1) / side for line in lines]
    part = np.stack([*starts, *ends], axis=1).astype(np.float32)
    return Edges(owner, boxes[owner], part, share.astype(np.float32))


def stack(edges: list[Edges]) -> Edges:
    names = Edges.__dataclass_fields__
    return Edges(*(np.stack([getattr(one, name) for one in edges]) for name in names))


def owners(drawn: Drawn, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """The object that covers most of each cell, from 1, or 0: [cells]."""
    size = columns * TOKEN_PX, rows * TOKEN_PX
    things = np.asarray(drawn.things.resize(size, Image.Resampling.NEAREST))
    edges = edges_of(things, len(drawn.centres), rows, columns)
    best = edges.share.reshape(-1, 4).argmax(1)
    return edges.owner.reshape(-1, 4)[np.arange(len(best)), best]

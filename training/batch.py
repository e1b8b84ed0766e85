"""Rows as arrays: padded to equal length, with the pictures that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.gguf.layout import TINY
from edge.qwen3vl import preprocess
from training.facts import TRUTHS, UNKNOWN
from training.rows import IGNORED, Row, VisionInput

PATCH: Final = 3 * 16 * 16


@dataclass(frozen=True)
class TextInput:
    """Rows of similar length, padded at the end to equal length."""

    ids: npt.NDArray[np.int64]  # [batch, n]
    labels: npt.NDArray[np.int64]  # [batch, n]: the next token, or IGNORED
    weights: npt.NDArray[np.float32]  # [batch, n]
    positions: npt.NDArray[np.int64]  # [3, batch, n]: time, height, width
    cells: npt.NDArray[np.int64]  # [picture tokens]: which cell of the pictures
    looking: npt.NDArray[np.int64]  # [digits, 2]: row and token, see `Row.looking`
    objects: npt.NDArray[np.bool_]  # [digits, n]: the tokens of the object


@dataclass(frozen=True)
class Batch:
    """Groups of rows, and each of their pictures once."""

    texts: tuple[TextInput, ...]
    patches: npt.NDArray[np.uint8]  # [n_patches, 3 * 16 * 16]
    grids: npt.NDArray[np.int64]  # [n_pictures, 3]: 1, rows and columns of patches
    truth: npt.NDArray[np.uint8]  # [n_patches, TRUTHS]


def collate(*groups: Sequence[Row]) -> Batch:
    """Stacked rows. Lengths are rounded up, with padding tokens and with pictures that
    no row uses: arithmetic is much faster with few different lengths."""
    seen = {id(one): one for rows in groups for row in rows for one in row.pictures}
    sizes = [(s.rows, s.columns) for s in seen.values()]
    ends = np.cumsum([0, *(rows * columns for rows, columns in sizes)])
    starts = dict(zip(seen, ends.tolist(), strict=False))
    n_cells = int(ends[-1])
    fill = _split(_round_up(max(n_cells, 1), 128) - n_cells)
    sizes += [(1, n) for n in fill]
    blank = [np.zeros((4 * n, PATCH), np.uint8) for n in fill]
    pictures = seen.values()
    return Batch(
        tuple(_pad(rows, starts) for rows in groups),
        np.concatenate([*(preprocess.patches(s.picture) for s in pictures), *blank]),
        np.array([(1, 2 * rows, 2 * columns) for rows, columns in sizes], np.int64),
        np.concatenate([*map(_truth, pictures), *map(_unknown, fill)]),
    )


def _pad(rows: Sequence[Row], starts: dict[int, int]) -> TextInput:
    """`starts`: the first cell of each picture, by its id."""
    longest = _round_up(max(len(row.ids) for row in rows), 16)
    shape = len(rows), longest
    ids = np.zeros(shape, np.int64)
    labels = np.full(shape, IGNORED, np.int64)
    weights = np.zeros(shape, np.float32)
    positions = np.zeros((3, *shape), np.int64)
    cells: list[int] = []
    looking = [(i, at) for i, row in enumerate(rows) for at, _ in row.looking]
    objects = np.zeros((len(looking), longest), np.bool_)
    digits = [there for row in rows for _, there in row.looking]
    for digit, there in enumerate(digits):
        objects[digit, there] = True
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n] = row.ids
        labels[i, : n - 1] = row.labels[1:]
        weights[i, : n - 1] = row.weights[1:]
        positions[:, i, :n] = np.concatenate(row.positions, axis=1)
        for one in row.pictures:
            start = starts[id(one)]
            cells += range(start, start + one.rows * one.columns)
    pairs = np.array(looking, np.int64).reshape(-1, 2)
    return TextInput(
        ids, labels, weights, positions, np.array(cells, int), pairs, objects
    )


def _truth(seen: VisionInput) -> npt.NDArray[np.uint8]:
    if seen.truth is None:
        return _unknown(seen.rows * seen.columns)
    return seen.truth


def _unknown(n_cells: int) -> npt.NDArray[np.uint8]:
    return np.full((4 * n_cells, TRUTHS), UNKNOWN, np.uint8)


def _round_up(n: int, step: int) -> int:
    return -(-n // step) * step


def _split(n_cells: int) -> list[int]:
    """Cells in pieces no larger than a picture."""
    whole, rest = divmod(n_cells, TINY.max_image_tokens)
    return [TINY.max_image_tokens] * whole + [rest] * (rest > 0)

"""From a picture of any size to the patches that the vision tower reads.

Source: `smart_resize` of Qwen2-VL's and Qwen3-VL's own image processor: both sides
become multiples of a cell, the shape is kept as well as that allows, and the number of
cells stays within bounds. llama.cpp resizes without smoothing, which loses thin lines;
a picture that already has the size of its grid is left alone there.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.images import CELL, Picture


def grid(width: int, height: int, min_cells: int, max_cells: int) -> tuple[int, int]:
    """Rows and columns of cells for a picture of `width` x `height` pixels: between
    `min_cells` and `max_cells` together, as far as whole rows and columns allow."""
    rows, columns = max(1, round(height / CELL)), max(1, round(width / CELL))
    cells = width * height / CELL**2
    if rows * columns > max_cells:
        shrink = math.sqrt(max_cells / cells)
        rows = max(1, math.floor(height * shrink / CELL))
        columns = max(1, math.floor(width * shrink / CELL))
        rows, columns = min(rows, max_cells), min(columns, max_cells)
    elif rows * columns < min_cells:
        grow = math.sqrt(min_cells / cells)
        rows = math.ceil(height * grow / CELL)
        columns = math.ceil(width * grow / CELL)
    return rows, columns


def fit(picture: Picture, rows: int, columns: int) -> Picture:
    """The whole picture in exactly `rows` x `columns` cells, bicubic and smoothed."""
    size = columns * CELL, rows * CELL
    if size == (picture.width, picture.height):
        return picture
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    return Picture(*size, image.resize(size, Image.Resampling.BICUBIC).tobytes())


def patches(picture: Picture) -> npt.NDArray[np.uint8]:
    """All patches of a fitted picture, uint8 [n_patches, 3 * 16 * 16]: cell by cell in
    reading order, within a cell its four patches likewise, each patch plane by plane.
    The order of Qwen3-VL's own image processor."""
    pixels = np.frombuffer(picture.rgb, np.uint8)
    side = CELL // 2
    rows, columns = picture.height // CELL, picture.width // CELL
    cells = pixels.reshape(rows, 2, side, columns, 2, side, 3)
    return cells.transpose(0, 3, 1, 4, 6, 2, 5).reshape(-1, 3 * side * side)

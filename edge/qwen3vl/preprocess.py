"""From a picture of any size to the patches that the vision encoder reads.

Source: `smart_resize` of Qwen2-VL's and Qwen3-VL's image processors: both sides become
multiples of 32 pixels, one image token each, with about the same aspect ratio, and the
number of tokens stays within bounds. llama.cpp resizes without smoothing, which loses
thin lines; it does not resize a picture that has the size of its grid already.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.images import TOKEN_PX, Picture


def grid(
    width: int, height: int, min_tokens: int, max_tokens: int, n_frames: int = 1
) -> tuple[int, int]:
    """Rows and columns of image tokens for a picture of `width` x `height` pixels:
    between `min_tokens` and `max_tokens` together, as far as whole rows and columns
    allow. Pairs are not enlarged: a video has many of them."""
    min_tokens = min_tokens if n_frames == 1 else 1
    rows, columns = max(1, round(height / TOKEN_PX)), max(1, round(width / TOKEN_PX))
    tokens = width * height / TOKEN_PX**2
    if rows * columns > max_tokens:
        shrink = math.sqrt(max_tokens / tokens)
        rows = max(1, math.floor(height * shrink / TOKEN_PX))
        columns = max(1, math.floor(width * shrink / TOKEN_PX))
        rows, columns = min(rows, max_tokens), min(columns, max_tokens)
    elif rows * columns < min_tokens:
        grow = math.sqrt(min_tokens / tokens)
        rows = math.ceil(height * grow / TOKEN_PX)
        columns = math.ceil(width * grow / TOKEN_PX)
    return rows, columns


def fit(picture: Picture, rows: int, columns: int) -> Picture:
    """The picture resized to exactly `rows` x `columns` image tokens: bicubic, with
    antialiasing."""
    size = columns * TOKEN_PX, rows * TOKEN_PX
    if size == (picture.width, picture.height):
        return picture
    resized = (
        Image.frombytes("RGB", (frame.width, frame.height), frame.rgb)
        .resize(size, Image.Resampling.BICUBIC)
        .tobytes()
        for frame in frames(picture)
    )
    return Picture(*size, b"".join(resized), n_frames=picture.n_frames)


def frames(picture: Picture) -> list[Picture]:
    """Each frame of a pair; a still is its only one."""
    if picture.n_frames == 1:
        return [picture]
    n_bytes = len(picture.rgb) // picture.n_frames
    starts = range(0, len(picture.rgb), n_bytes)
    each = (picture.rgb[start : start + n_bytes] for start in starts)
    return [replace(picture, rgb=rgb, n_frames=1) for rgb in each]


def patches(picture: Picture) -> npt.NDArray[np.uint8]:
    """All patches of a fitted still, uint8 [n_patches, 3 * 16 * 16]: image token by
    image token in reading order, the four patches of each in reading order too, each
    patch colour by colour. The order of Qwen3-VL's own image processor."""
    pixels = np.frombuffer(picture.rgb, np.uint8)
    side = TOKEN_PX // 2
    rows, columns = picture.height // TOKEN_PX, picture.width // TOKEN_PX
    blocks = pixels.reshape(rows, 2, side, columns, 2, side, 3)
    return blocks.transpose(0, 3, 1, 4, 6, 2, 5).reshape(-1, 3 * side * side)

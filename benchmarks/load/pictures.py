"""New photograph-like pictures, cheap enough to make beside the server under load.

A picture must be new to the caches of a server, and cost as much to decode as a
photograph: soft light, a few sharp shapes, and grain, which fills most bytes of a real
JPEG.
"""

from __future__ import annotations

import io
import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FIELD_SIZE = (800, 600)
FIELD_BYTES = 120_000  # field report A: "a new 800x600 JPG of about 120 KB"
QUALITY = 85  # as cameras and phones use
# The amplitude of the grain is below both margins, so that a sum never overflows.
DARKEST, BRIGHTEST = 56, 200
MAX_GRAIN = 55
SPARE = 64  # extra rows and columns of grain, for a random crop
N_SHAPES = 8


def fresh_jpeg(
    rng: random.Random,
    width: int = FIELD_SIZE[0],
    height: int = FIELD_SIZE[1],
    target_bytes: int = FIELD_BYTES,
) -> bytes:
    """A JPEG that is unique to the state of `rng`.

    `target_bytes` is the size of a picture of 800x600; other sizes have bytes in
    proportion to their pixels. The result is within 15 % of it, between about 40 KB and
    220 KB.
    """
    grain = _grain(width, height, _amplitude(target_bytes))
    return _jpeg(_scene(rng, width, height), grain, rng)


def _scene(rng: random.Random, width: int, height: int) -> NDArray[np.uint8]:
    """Soft light over the whole picture, and shapes with sharp edges."""
    span = BRIGHTEST - DARKEST
    few = bytes(DARKEST + byte * span // 255 for byte in rng.randbytes(6 * 5 * 3))
    light = Image.frombytes("RGB", (6, 5), few)
    # bilinear, because a cubic curve would overshoot the margins
    scene = light.resize((width, height), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(scene)
    for _ in range(N_SHAPES):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.05, 0.2) * width, rng.uniform(0.05, 0.2) * height
        colour = tuple(rng.randint(DARKEST, BRIGHTEST) for _ in range(3))
        shape = rng.choice((draw.ellipse, draw.rectangle))
        shape((x - w, y - h, x + w, y + h), fill=colour)
    return np.asarray(scene)


def _jpeg(
    scene: NDArray[np.uint8], grain: NDArray[np.uint8], rng: random.Random
) -> bytes:
    height, width, _ = scene.shape
    top, left = rng.randrange(SPARE), rng.randrange(SPARE)
    here = grain[top : top + height, left : left + width]
    # grain below zero wraps around in eight bits, and back again in the sum
    picture = Image.fromarray(scene + here[:, :, None])
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _noise(width: int, height: int, amplitude: int) -> NDArray[np.uint8]:
    """Brightness noise of a sensor, larger than the picture by SPARE.

    `amplitude` is three standard deviations, in steps of brightness.
    """
    shape = (height + SPARE, width + SPARE)
    noise = np.random.default_rng(1).normal(0, amplitude / 3, shape)
    return noise.clip(-MAX_GRAIN, MAX_GRAIN).astype(np.int8).view(np.uint8)


_grain = lru_cache(maxsize=4)(_noise)


@lru_cache(maxsize=4)
def _amplitude(target_bytes: int) -> int:
    """The amplitude at which pictures of 800x600 have about `target_bytes`.

    Found by bisection, because it differs between versions of the JPEG encoder; cached,
    because the search takes as long as twenty pictures.
    """
    low, high = 1, 3 * MAX_GRAIN
    while low < high:
        middle = (low + high) // 2
        rng = random.Random(0)
        scene = _scene(rng, *FIELD_SIZE)
        if len(_jpeg(scene, _noise(*FIELD_SIZE, middle), rng)) < target_bytes:
            low = middle + 1
        else:
            high = middle
    return low

"""Gaussian noise, equal on every machine for equal seeds."""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
from PIL import Image


def noise(rng: Random, width: int, height: int, sigma: float) -> Image.Image:
    """Gaussian noise around 128 in mode L: a random part of one sheet, because new
    random numbers would take longer than the rest of the picture."""
    sheet = _sheet(round(sigma / 4) * 4 or 2)
    x, y = rng.randrange(sheet.width - width), rng.randrange(sheet.height - height)
    return sheet.crop((x, y, x + width, y + height))


@cache
def _sheet(sigma: int) -> Image.Image:
    values = np.random.default_rng(sigma).normal(128, sigma, (2048, 2048))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))

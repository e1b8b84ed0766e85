"""Colour names as ranges of hue, saturation and value.

The ranges contain the colours that drawing programs and CSS give to the name, with gaps
where people would disagree.
"""

from __future__ import annotations

import colorsys
import math
from random import Random
from typing import Final

Colour = tuple[int, int, int]
Range = tuple[float, float]

RANGES: Final[dict[str, tuple[Range, Range, Range]]] = {
    # hue in degrees, saturation, value
    "red": ((-8, 7), (0.82, 1.0), (0.72, 1.0)),
    "orange": ((22, 40), (0.85, 1.0), (0.9, 1.0)),
    "yellow": ((51, 61), (0.75, 1.0), (0.9, 1.0)),
    "green": ((95, 145), (0.55, 1.0), (0.4, 1.0)),
    "blue": ((207, 243), (0.65, 1.0), (0.55, 1.0)),
    "purple": ((268, 303), (0.5, 1.0), (0.4, 0.8)),
    "pink": ((325, 352), (0.22, 0.6), (0.94, 1.0)),
    "brown": ((8, 30), (0.6, 0.85), (0.32, 0.58)),
    "black": ((0, 360), (0.0, 0.2), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.03), (0.95, 1.0)),
    "grey": ((0, 360), (0.0, 0.05), (0.4, 0.68)),
}


def shade(rng: Random, name: str) -> Colour:
    """A random colour with this name."""
    hue, saturation, value = (rng.uniform(*bounds) for bounds in RANGES[name])
    r, g, b = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return round(r * 255), round(g * 255), round(b * 255)


def distance(first: Colour, second: Colour) -> float:
    return math.dist(first, second)


def away_from(rng: Random, others: list[Colour], least: float) -> Colour:
    """A random colour that contrasts with all `others`. The required distance falls
    slowly, because eleven colours can leave little room between them."""
    while True:
        for _ in range(30):
            r, g, b = rng.randrange(256), rng.randrange(256), rng.randrange(256)
            if rng.random() < 0.4:  # pale and dark ones are common backgrounds
                r, g, b = (int(c * 0.25 + rng.choice((0, 191))) for c in (r, g, b))
            if all(distance((r, g, b), other) > least for other in others):
                return r, g, b
        least *= 0.9

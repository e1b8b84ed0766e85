"""Backgrounds of shapes and writing: plain or shaded, empty or cluttered."""

from __future__ import annotations

from random import Random
from typing import Final

from PIL import Image, ImageDraw

from training.colours import Colour, away_from, distance


def background(
    rng: Random,
    width: int,
    height: int,
    taken: list[Colour],
    contrast: float,
    clutter: float,
) -> Image.Image:
    """RGB. Its colours keep the distance `contrast` from all colours in `taken`, if
    possible; `clutter` is the probability of lines or specks."""
    first = (255, 255, 255)
    if rng.random() > 0.35 or any(distance(first, c) < contrast for c in taken):
        first = away_from(rng, taken, contrast)
    image = Image.new("RGB", (width, height), first)
    if rng.random() < 0.35:
        second = _near(rng, first, taken, contrast, 60)
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
        image.paste(second, (0, 0), ramp.resize((width, height)))
    if rng.random() < clutter:
        draw = ImageDraw.Draw(image)
        quiet = _near(rng, first, taken, contrast, 45)
        thick = max(1, min(width, height) // 120)
        rng.choice(CLUTTER)(rng, draw, width, height, quiet, thick)
    return image


def _near(
    rng: Random, colour: Colour, taken: list[Colour], contrast: float, reach: int
) -> Colour:
    """A second colour of the background: close to the first, far from the others."""
    for _ in range(20):
        r, g, b = (min(255, max(0, c + rng.randint(-reach, reach))) for c in colour)
        if all(distance((r, g, b), other) > contrast * 0.85 for other in taken):
            return r, g, b
    return colour


def _lines(
    rng: Random, draw: ImageDraw.ImageDraw, w: int, h: int, colour: Colour, thick: int
) -> None:
    for _ in range(rng.randint(2, 12)):
        ends = [(rng.randint(0, w), rng.randint(0, h)) for _ in range(2)]
        draw.line(ends, colour, thick)


def _grid_lines(
    rng: Random, draw: ImageDraw.ImageDraw, w: int, h: int, colour: Colour, thick: int
) -> None:
    step = max(6, int(min(w, h) * rng.uniform(0.08, 0.25)))
    for x in range(rng.randrange(step), w, step):
        draw.line([(x, 0), (x, h)], colour, thick)
    if rng.random() < 0.6:
        for y in range(rng.randrange(step), h, step):
            draw.line([(0, y), (w, y)], colour, thick)


def _specks(
    rng: Random, draw: ImageDraw.ImageDraw, w: int, h: int, colour: Colour, thick: int
) -> None:
    for _ in range(rng.randint(10, 60)):
        x, y, r = rng.randint(0, w), rng.randint(0, h), rng.uniform(0.5, 1.6) * thick
        draw.ellipse([x - r, y - r, x + r, y + r], colour)


CLUTTER: Final = (_lines, _grid_lines, _specks)

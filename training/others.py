"""Pictures without known objects: clouds, stripes, scribbles, noise."""

from __future__ import annotations

from random import Random
from typing import Final

from PIL import Image, ImageDraw

from training.colours import Colour
from training.noise import noise


def _blank(rng: Random, width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), _any(rng))


def _clouds(rng: Random, width: int, height: int) -> Image.Image:
    """Smooth blotches of several sizes, similar to photographs from far away."""
    image = Image.new("RGB", (width, height), _any(rng))
    for cells in rng.sample((2, 3, 5, 8, 13, 30), rng.randint(1, 4)):
        coarse = Image.merge(
            "RGB",
            [noise(rng, cells, cells, rng.uniform(30, 110)) for _ in "rgb"],
        )
        layer = coarse.resize((width, height), Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, rng.uniform(0.3, 0.8))
    return image


def _stripes(rng: Random, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _any(rng))
    draw = ImageDraw.Draw(image)
    step = max(4, int(min(width, height) * rng.uniform(0.04, 0.3)))
    slant = rng.uniform(-1, 1) * height
    second = _any(rng)
    for x in range(-height, width + height, step * 2):
        draw.line([(x, 0), (x + slant, height)], second, step)
    return image


def _scribble(rng: Random, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _any(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(1, 6)):
        points = [
            (rng.randint(0, width), rng.randint(0, height))
            for _ in range(rng.randint(6, 30))
        ]
        draw.line(points, _any(rng), rng.randint(1, 5), joint="curve")
    return image


def _jumble(rng: Random, width: int, height: int) -> Image.Image:
    """Many overlapping patches without a shape."""
    image = Image.new("RGB", (width, height), _any(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(25, 90)):
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 1) * height
        w, h = rng.uniform(0.03, 0.4) * width, rng.uniform(0.03, 0.4) * height
        if rng.random() < 0.4:
            draw.ellipse([x, y, x + w, y + h], _any(rng))
        else:
            corners = [(x + rng.uniform(0, w), y + rng.uniform(0, h)) for _ in range(4)]
            draw.polygon(corners, _any(rng))
    return image


def _static(rng: Random, width: int, height: int) -> Image.Image:
    sigma = rng.uniform(20, 120)
    return Image.merge("RGB", [noise(rng, width, height, sigma) for _ in "rgb"])


def _landscape(rng: Random, width: int, height: int) -> Image.Image:
    """Sky, hills and ground."""
    image = _clouds(rng, width, height)
    draw = ImageDraw.Draw(image)
    for layer in range(rng.randint(1, 4)):
        base = height * (0.4 + 0.15 * layer)
        points = [
            (x, base + rng.uniform(-0.15, 0.15) * height)
            for x in range(0, width + width // 4, max(1, width // rng.randint(3, 9)))
        ]
        draw.polygon([(0, height), *points, (width, height)], _any(rng))
    return image


OTHERS: Final = (
    _blank,
    _clouds,
    _clouds,
    _stripes,
    _scribble,
    _jumble,
    _jumble,
    _static,
    _landscape,
    _landscape,
)


def nothing_known(rng: Random, width: int, height: int) -> Image.Image:
    return rng.choice(OTHERS)(rng, width, height)


def _any(rng: Random) -> Colour:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)

"""Scenes to pictures: shapes, printed lines, and pictures without either.

Size, shape, background, clutter, noise and compression are random, so that pictures of
one scene have only the facts of the scene in common.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from training import scenes
from training.backgrounds import background
from training.colours import Colour, shade
from training.fonts import Font, fit
from training.noise import noise
from training.others import nothing_known
from training.scenes import Object, Other, Scene, Writing

MIN_CONTRAST: Final = 95.0  # RGB distance of an object from its background
INK_CONTRAST: Final = 130.0  # more, because letters are thin
SMOOTHING: Final = 3  # masks are drawn larger by this factor


@dataclass
class Drawn:
    """A picture with labels.

    `things` has mode L and the picture's size: 0 for background, else the number, from
    1, of the object in the scene or of the letter in its line. `centres` are their
    centres, as fractions of width and height.
    """

    image: Image.Image
    things: Image.Image
    centres: list[tuple[float, float]]


@dataclass(frozen=True)
class Style:
    """Parameters of a set of pictures."""

    fonts: tuple[Font, ...]
    clutter: float = 0.35  # their probabilities
    noise: float = 0.35
    jpeg: float = 0.4


def picture(
    rng: Random, scene: Scene, width: int, height: int, s: Style
) -> Image.Image:
    """The scene in RGB, `width` x `height` pixels."""
    return draw(rng, scene, width, height, s).image


def draw(rng: Random, scene: Scene, width: int, height: int, s: Style) -> Drawn:
    """The same picture with labels, for training."""
    nothing = Image.new("L", (width, height))
    if isinstance(scene, Other):
        drawn = Drawn(nothing_known(rng, width, height), nothing, [])
    else:
        colours = _colours(rng, scene)
        contrast = INK_CONTRAST if isinstance(scene, Writing) else MIN_CONTRAST
        taken = list(colours.values())
        image = background(rng, width, height, taken, contrast, s.clutter)
        drawn = Drawn(image, nothing, [])
        if isinstance(scene, Writing):
            _write(rng, drawn, scene, colours[scene.colour], s)
        else:
            for n, thing in enumerate(scene.objects, 1):
                _put(rng, drawn, n, thing, colours[thing.kind.colour])
    drawn.image = _degrade(rng, drawn.image, s)
    return drawn


def _colours(rng: Random, scene: scenes.Shapes | Writing) -> dict[str, Colour]:
    names = (
        {scene.colour}
        if isinstance(scene, Writing)
        else {thing.kind.colour for thing in scene.objects}
    )
    return {name: shade(rng, name) for name in sorted(names)}


def _put(rng: Random, drawn: Drawn, n: int, thing: Object, colour: Colour) -> None:
    image = drawn.image
    side = min(image.size)
    radius = thing.radius * side
    box = max(4, round(radius * 2.3))
    mask = Image.new("L", (box * SMOOTHING, box * SMOOTHING))
    middle = box * SMOOTHING / 2
    outline = OUTLINES[thing.kind.shape](rng)
    r = radius * SMOOTHING
    pen = ImageDraw.Draw(mask)
    if thing.kind.shape in ("circle", "ring"):
        pen.ellipse([middle - r, middle - r, middle + r, middle + r], 255)
        if thing.kind.shape == "ring":
            hole = r * rng.uniform(0.5, 0.68)
            pen.ellipse([middle - hole, middle - hole, middle + hole, middle + hole], 0)
    else:
        pen.polygon([(middle + r * x, middle + r * y) for x, y in outline], 255)
    if rng.random() < 0.85:
        mask = mask.resize((box, box), Image.Resampling.BOX)
    else:  # hard edges, as in simple drawing programs
        mask = mask.resize((box, box), Image.Resampling.NEAREST)
    left = round(thing.x * image.width - box / 2)
    top = round(thing.y * image.height - box / 2)
    image.paste(colour, (left, top), mask)
    inside = mask.point(lambda value: 255 * (value > 127))
    drawn.things.paste(n, (left, top), inside)
    drawn.centres.append((thing.x, thing.y))


Points = list[tuple[float, float]]


def _rotate(points: Points, degrees: float) -> Points:
    """Rotated points; y points down, as in pictures."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(c * x - s * y, s * x + c * y) for x, y in points]


def _round(rng: Random) -> Points:
    return []


def _square(rng: Random) -> Points:
    h = 0.82
    return _rotate([(-h, -h), (h, -h), (h, h), (-h, h)], _random_angle(rng, 12))


def _triangle(rng: Random) -> Points:
    points = [(0.0, -1.0), (0.95, 0.75), (-0.95, 0.75)]
    return _rotate(points, _random_angle(rng, 25) + rng.choice((0, 0, 0, 90, 180, 270)))


def _star(rng: Random) -> Points:
    inner = rng.uniform(0.38, 0.46)
    points = []
    for n in range(10):
        r = 1.05 if n % 2 == 0 else inner
        points.append((r * math.sin(n * math.pi / 5), -r * math.cos(n * math.pi / 5)))
    return _rotate(points, _random_angle(rng, 30))


def _heart(rng: Random) -> Points:
    points = []
    for n in range(40):
        t = n * math.tau / 40
        x = 16 * math.sin(t) ** 3
        y = (
            13 * math.cos(t)
            - 5 * math.cos(2 * t)
            - 2 * math.cos(3 * t)
            - math.cos(4 * t)
        )
        points.append((x / 16.5, -(y + 2.5) / 16.5))
    return _rotate(points, _random_angle(rng, 15))


def _cross(rng: Random) -> Points:
    a, b = rng.uniform(0.26, 0.36), 0.97
    points = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)]
    points += [(-x, -y) for x, y in points]
    return _rotate(points, _random_angle(rng, 15))


def _diamond(rng: Random) -> Points:
    h = rng.uniform(0.6, 0.74)
    return _rotate([(0, -1.05), (h, 0), (0, 1.05), (-h, 0)], _random_angle(rng, 7))


def _random_angle(rng: Random, degrees: float) -> float:
    return 0.0 if rng.random() < 0.5 else rng.uniform(-degrees, degrees)


OUTLINES: Final[dict[str, Callable[[Random], Points]]] = {
    "circle": _round,
    "ring": _round,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
    "diamond": _diamond,
}


def _write(rng: Random, drawn: Drawn, scene: Writing, colour: Colour, s: Style) -> None:
    """Draws one line at a random position, large enough to be read."""
    width, height = drawn.image.size
    n = len(scene.text)
    widest = width * rng.uniform(min(0.93, max(0.45, 0.08 * n)), 0.95)
    highest = height * rng.uniform(0.25, 0.75)
    font = fit(rng.choice(s.fonts), scene.text, widest, highest)
    left, top, right, bottom = font.getbbox(scene.text)
    ink = Image.new("L", (math.ceil(right - left) + 4, math.ceil(bottom - top) + 4))
    ImageDraw.Draw(ink).text((2 - left, 2 - top), scene.text, 255, font)
    boxes = Image.new("L", ink.size)  # of each letter, up to the start of the next
    edges = [2 - left + font.getlength(scene.text[:i]) for i in range(n + 1)]
    for number, (start, end) in enumerate(pairwise(edges), 1):
        ImageDraw.Draw(boxes).rectangle((start, 0, end, ink.height), number)
    angle = rng.uniform(-4, 4) if rng.random() < 0.3 else 0.0
    flat_width = ink.width
    if angle:
        ink = ink.rotate(angle, Image.Resampling.BILINEAR, expand=True)
        boxes = boxes.rotate(angle, Image.Resampling.NEAREST, expand=True)
    if ink.width > width or ink.height > height:
        ink.thumbnail((width, height))
        boxes = boxes.resize(ink.size, Image.Resampling.NEAREST)
    x = rng.randint(0, width - ink.width)
    y = rng.randint(0, height - ink.height)
    drawn.image.paste(colour, (x, y), ink)
    drawn.things.paste(boxes, (x, y))
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    for start, end in pairwise(edges):
        right_of_middle = (start + end) / 2 - flat_width / 2
        centre_x = x + ink.width / 2 + cosine * right_of_middle
        centre_y = y + ink.height / 2 - sine * right_of_middle
        drawn.centres.append((centre_x / width, centre_y / height))


def _degrade(rng: Random, image: Image.Image, s: Style) -> Image.Image:
    if rng.random() < 0.12:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    if rng.random() < s.noise:
        grain = noise(rng, *image.size, rng.uniform(3, 22)).convert("RGB")
        image = ImageChops.add(image, grain, 1, -128)
    if rng.random() < s.jpeg:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=rng.randint(40, 92))
        image = Image.open(file).convert("RGB")
    return image

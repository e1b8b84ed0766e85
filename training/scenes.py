"""Scenes: the facts of a picture before it is drawn.

A scene has no pixels. Places are fractions of the picture, sizes fractions of its
shorter side, so the facts stay true at any scale.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

SHAPES: Final = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "cross",
    "diamond",
    "ring",
)
COLOURS: Final = (
    "red",
    "green",
    "blue",
    "yellow",
    "orange",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
)
PLACES: Final = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
# A centre between two of these zones has no clear place: scenes avoid it where a
# question could ask for the place.
ZONES: Final = ((0.0, 0.29), (0.38, 0.62), (0.71, 1.0))
MAX_OBJECTS: Final = 6
MAX_PLACED: Final = 4  # questions ask for places only up to this many objects
MAX_LETTERS: Final = 12
MAX_DIGITS: Final = 6
CLEARLY_BIGGER: Final = 1.4


@dataclass(frozen=True)
class Kind:
    colour: str
    shape: str


@dataclass(frozen=True)
class Object:
    kind: Kind
    x: float  # centre
    y: float
    radius: float

    @property
    def place(self) -> str:
        return PLACES[min(int(self.y * 3), 2)][min(int(self.x * 3), 2)]


@dataclass(frozen=True)
class Shapes:
    """One to six objects, unordered."""

    objects: tuple[Object, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Each kind once, in the order of its leftmost object."""
        by_x = sorted(self.objects, key=lambda thing: thing.x)
        return tuple(dict.fromkeys(thing.kind for thing in by_x))

    @property
    def placed(self) -> bool:
        """Whether each object has a unique kind and a clear place."""
        return len(self.kinds) == len(self.objects) <= MAX_PLACED

    def count(self, kind: Kind) -> int:
        return sum(thing.kind == kind for thing in self.objects)


@dataclass(frozen=True)
class Writing:
    """One printed line: a number, or up to twelve letters and digits."""

    text: str
    colour: str

    @property
    def is_number(self) -> bool:
        return self.text.isdigit()


@dataclass(frozen=True)
class Other:
    """No known object: noise, clouds, stripes, or an empty picture."""


Scene = Shapes | Writing | Other


def shapes(rng: Random, aspect: float, hard: float = 1.0) -> Shapes:
    """`aspect` is width / height, which limits the number of objects. `hard` is 0 for
    few and large objects, 1 for up to six."""
    most = 2 + round(hard * (MAX_OBJECTS - 2))
    n = rng.choice([n for n in (1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6) if n <= most])
    style = rng.random()
    if n == 1:
        kinds = [_kind(rng)]
    elif style < 0.25:
        kinds = [_kind(rng)] * n
    elif style < 0.45 or n > MAX_PLACED:
        few = _different(rng, rng.randint(2, 3))
        kinds = rng.choices(few, k=n)
    else:
        kinds = _different(rng, n)
    return Shapes(tuple(_arranged(rng, kinds, aspect, hard)))


def number(rng: Random, hard: float = 1.0) -> Writing:
    n = rng.randint(1, 2 + round(hard * (MAX_DIGITS - 2)))
    text = "".join(rng.choices(string.digits, k=n))
    return Writing(text, rng.choice(COLOURS))


def writing(rng: Random, hard: float = 1.0) -> Writing:
    """Words consist of letters, codes of capitals and digits. Codes have no O and I, as
    on number plates, because they look like 0 and 1."""
    n = rng.randint(1, 2 + round(hard * (MAX_LETTERS - 2)))
    style = rng.random()
    if style < 0.45:
        letters = string.ascii_uppercase.replace("O", "").replace("I", "")
        text = _with_a_letter(rng, rng.choices(letters + string.digits, k=n), letters)
    elif style < 0.6:
        text = "".join(rng.choices(string.ascii_uppercase, k=n))
    else:
        text = "".join(rng.choices(string.ascii_lowercase, k=max(n, 2)))
        text = rng.choice((text, text.capitalize(), text.upper()))
    return Writing(text, rng.choice(COLOURS))


def _with_a_letter(rng: Random, code: list[str], letters: str) -> str:
    """`code` with at least one letter: without, it would be a number."""
    code[rng.randrange(len(code))] = rng.choice(letters)
    return "".join(code)


def _kind(rng: Random) -> Kind:
    return Kind(rng.choice(COLOURS), rng.choice(SHAPES))


def _different(rng: Random, n: int) -> list[Kind]:
    kinds: list[Kind] = []
    while len(kinds) < n:
        kind = _kind(rng)
        # Often two share a shape or a colour, so that both facts matter.
        if kinds and rng.random() < 0.3:
            kind = Kind(kinds[0].colour, kind.shape)
        elif kinds and rng.random() < 0.3:
            kind = Kind(kind.colour, kinds[0].shape)
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def _arranged(
    rng: Random, kinds: Sequence[Kind], aspect: float, hard: float
) -> list[Object]:
    """Objects inside the picture that do not touch; sizes shrink until they fit."""
    width, height = max(aspect, 1.0), max(1 / aspect, 1.0)  # in shorter sides
    n = len(kinds)
    largest = 0.42 if n == 1 else 0.55 / math.sqrt(n / (width * height))
    largest = min(largest, 0.38 if n > 1 else 0.42)
    smallest = (0.11 if n == 1 else 0.09) + 0.1 * (1 - hard)
    must_be_clear = n <= MAX_PLACED
    while True:
        objects: list[Object] = []
        for kind in kinds:
            radius = rng.uniform(smallest, max(largest, smallest * 1.05))
            for _ in range(12):
                x = rng.uniform(radius, width - radius) / width
                y = rng.uniform(radius, height - radius) / height
                if must_be_clear and not (_clear(x) and _clear(y)):
                    continue
                if all(
                    math.hypot((x - o.x) * width, (y - o.y) * height)
                    > (radius + o.radius) * 1.1 + 0.02
                    for o in objects
                ):
                    objects.append(Object(kind, x, y, radius))
                    break
            else:
                break
        if len(objects) == n:
            return objects
        largest *= 0.93


def _clear(fraction: float) -> bool:
    return any(low <= fraction <= high for low, high in ZONES)

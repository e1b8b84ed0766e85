"""Facts about each object or letter of a scene: extra targets of the vision tower.

Questions and answers contain so little about a picture that learning shapes, letters
and places from them would take days. These targets are given for each patch.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from training import scenes
from training.draw import Drawn
from training.scenes import (
    COLOURS,
    MAX_LETTERS,
    MAX_OBJECTS,
    PLACES,
    SHAPES,
    Kind,
    Scene,
)

THINGS: Final = (*SHAPES, *string.digits, *string.ascii_letters)
KINDS: Final = tuple(Kind(colour, shape) for colour in COLOURS for shape in SHAPES)
ZONES: Final = tuple(place for row in PLACES for place in row)
UNKNOWN: Final = 255  # no target

# Each fact and its number of values; 0 is the background.
FACTS: Final = {
    "what": 1 + len(THINGS),
    "colour": 1 + len(COLOURS),
    "kind": 1 + len(KINDS),  # so that one look-up finds "the red star"
    "rank": 1 + MAX_LETTERS,  # from the left
    "of": 1 + MAX_LETTERS,  # all things in the picture
    "zone": 1 + len(ZONES),
    "size": 4,  # the smallest, between, the largest
    "alike": 1 + MAX_OBJECTS,  # things of this colour and shape
    "same shape": 1 + MAX_OBJECTS,
    "same colour": 1 + MAX_OBJECTS,
}
TRUTHS: Final = 1 + len(FACTS)  # of a patch, see `truth_of`


def facts(scene: Scene) -> npt.NDArray[np.uint8]:
    """[1 + things, facts]: row 0 for the background, then the objects of the scene in
    order, or the letters of a line from the left."""
    rows: list[tuple[int, ...]] = [(0,) * len(FACTS)]
    if isinstance(scene, scenes.Shapes):
        rows += _of_objects(scene)
    elif isinstance(scene, scenes.Writing):
        rows += _of_letters(scene)
    return np.array(rows, np.uint8)


def _of_objects(scene: scenes.Shapes) -> Iterator[tuple[int, ...]]:
    things = scene.objects
    by_x = sorted(things, key=lambda thing: thing.x)
    radii = sorted(thing.radius for thing in things)
    for thing in things:
        kind = thing.kind
        largest, smallest = thing.radius == radii[-1], thing.radius == radii[0]
        yield (
            1 + THINGS.index(kind.shape),
            1 + COLOURS.index(kind.colour),
            1 + KINDS.index(kind),
            1 + by_x.index(thing),
            len(things),
            1 + ZONES.index(thing.place) if scene.placed else UNKNOWN,
            3 if largest else 1 if smallest else 2,
            scene.count(kind),
            sum(other.kind.shape == kind.shape for other in things),
            sum(other.kind.colour == kind.colour for other in things),
        )


def _of_letters(scene: scenes.Writing) -> Iterator[tuple[int, ...]]:
    rest = (UNKNOWN,) * (len(FACTS) - 5)
    colour = 1 + COLOURS.index(scene.colour)
    for rank, letter in enumerate(scene.text, 1):
        what = 1 + THINGS.index(letter)
        yield what, colour, UNKNOWN, rank, len(scene.text), *rest


def truth_of(
    scene: Scene, drawn: Drawn, rows: int, columns: int
) -> npt.NDArray[np.uint8]:
    """The targets of each patch, in the order of `rows.patches`: 1 if it contains the
    centre of an object or letter, then the FACTS at its middle.
    uint8 [patches, TRUTHS]."""
    size = 2 * columns, 2 * rows
    centres = np.zeros((2 * rows, 2 * columns, 1), np.uint8)
    for x, y in drawn.centres:
        row, column = int(y * 2 * rows), int(x * 2 * columns)
        centres[min(row, 2 * rows - 1), min(column, 2 * columns - 1)] = 1
    things = np.asarray(drawn.things.resize(size, Image.Resampling.NEAREST))
    truth = np.concatenate([centres, facts(scene)[things]], axis=-1)
    cells = truth.reshape(rows, 2, columns, 2, TRUTHS)
    return cells.transpose(0, 2, 1, 3, 4).reshape(-1, TRUTHS)

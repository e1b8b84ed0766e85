"""Pictures show their scenes."""

from __future__ import annotations

import colorsys
from random import Random

import numpy as np
import pytest

from training import scenes
from training.colours import RANGES, distance, shade
from training.draw import Style, draw, picture
from training.examination import KINDS, LATER, examination
from training.fonts import BUILT_IN
from training.scenes import Kind, Object, Other, Shapes, Writing

STYLE = Style((BUILT_IN,))
CLEAN = Style((BUILT_IN,), clutter=0, noise=0, jpeg=0)


def pixels(scene: scenes.Scene, seed: int = 0, style: Style = CLEAN) -> np.ndarray:
    image = picture(Random(seed), scene, 240, 160, style)
    assert (image.size, image.mode) == ((240, 160), "RGB")
    return np.asarray(image, int)


@pytest.mark.parametrize("shape", [s for s in scenes.SHAPES if s != "ring"])
@pytest.mark.parametrize("colour", scenes.COLOURS)
def test_an_object_has_its_place_and_colour(shape: str, colour: str) -> None:
    thing = Object(Kind(colour, shape), 0.25, 0.5, 0.2)
    drawn = pixels(Shapes((thing,)))
    middle, far = drawn[80, 60], drawn[80, 200]
    red, green, blue = (int(c) / 255 for c in middle)
    _, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    _, saturations, values = RANGES[colour]
    assert saturations[0] - 0.03 <= saturation <= saturations[1] + 0.03
    assert values[0] - 0.03 <= value <= values[1] + 0.03
    assert distance(tuple(middle), tuple(far)) > 60


def test_a_ring_is_open_in_the_middle() -> None:
    drawn = pixels(Shapes((Object(Kind("black", "ring"), 0.5, 0.5, 0.4),)))
    middle, band, corner = drawn[80, 120], drawn[80, 120 + 55], drawn[3, 3]
    assert distance(tuple(band), tuple(middle)) > 80
    assert distance(tuple(middle), tuple(corner)) < 80


def test_shapes_cover_different_areas() -> None:
    covered = {}
    for shape in scenes.SHAPES:
        drawn = pixels(Shapes((Object(Kind("black", shape), 0.5, 0.5, 0.4),)), seed=4)
        covered[shape] = (np.abs(drawn - drawn[0, 0]).sum(2) > 60).sum()
    assert len(set(covered.values())) == len(scenes.SHAPES)


@pytest.mark.parametrize("text", ["4", "407283", "HELLO", "ab12cd34ef56"])
@pytest.mark.parametrize("seed", range(5))
def test_a_line_is_inside_and_has_contrast(text: str, seed: int) -> None:
    drawn = pixels(Writing(text, "black"), seed)
    ink = np.abs(drawn).sum(2) < 120
    rows, columns = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
    assert 60 < np.ptp(columns) < 240 or len(text) == 1
    assert 10 < np.ptp(rows) < 160


def test_objects_are_labelled_at_their_place() -> None:
    kinds = Kind("red", "heart"), Kind("blue", "star")
    things = Object(kinds[0], 0.25, 0.5, 0.2), Object(kinds[1], 0.75, 0.5, 0.2)
    drawn = draw(Random(0), Shapes(things), 240, 160, STYLE)
    assert drawn.centres == [(0.25, 0.5), (0.75, 0.5)]
    for n, thing in enumerate(things, 1):
        middle = round(thing.x * 240), round(thing.y * 160)
        assert drawn.things.getpixel(middle) == n
    assert drawn.things.getpixel((120, 5)) == 0


@pytest.mark.parametrize("seed", range(6))
def test_letters_are_labelled_in_reading_order(seed: int) -> None:
    drawn = draw(Random(seed), Writing("Ab12", "red"), 240, 160, STYLE)
    middles = [(int(x * 240), int(y * 160)) for x, y in drawn.centres]
    assert middles == sorted(middles)
    assert [drawn.things.getpixel(middle) for middle in middles] == [1, 2, 3, 4]


def test_the_same_seed_draws_the_same_picture() -> None:
    for scene in (Writing("Ab1", "red"), Other(), scenes.shapes(Random(3), 1.5)):
        for seed in range(12):
            assert (pixels(scene, seed, STYLE) == pixels(scene, seed, STYLE)).all()


def test_two_pictures_of_a_scene_differ() -> None:
    scene = scenes.shapes(Random(3), 1.5)
    drawn = [pixels(scene, seed, STYLE).tobytes() for seed in range(20)]
    assert len(set(drawn)) == 20


@pytest.mark.parametrize("one", scenes.COLOURS)
@pytest.mark.parametrize("other", scenes.COLOURS)
def test_no_shade_has_two_names(one: str, other: str) -> None:
    if one == other:
        return
    rng = Random(0)
    shades = [shade(rng, one) for _ in range(60)]
    others = [shade(rng, other) for _ in range(60)]
    assert min(distance(a, b) for a in shades for b in others) > 12


def test_an_examination_is_balanced_by_kind_and_language() -> None:
    items = examination(seed=1, per_kind=4, unused_fonts=(BUILT_IN,))
    asked = [item.question.kind for item in items]
    assert {kind: asked.count(kind) for kind in asked} == dict.fromkeys(
        KINDS + LATER, 4
    )
    languages = [item.question.language for item in items]
    assert 0.35 < languages.count("zh") / len(items) < 0.65


def test_an_examination_is_reproducible() -> None:
    first, second = (examination(5, 1, (BUILT_IN,)) for _ in range(2))
    assert [i.question for i in first] == [i.question for i in second]
    assert [i.pictures for i in first] == [i.pictures for i in second]
    assert [i.document for i in first] == [i.document for i in second]

"""Scenes allow unambiguous answers."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scenes
from training.scenes import MAX_DIGITS, MAX_LETTERS, MAX_OBJECTS, Object, Shapes

SEEDS = st.integers(0, 10_000)
ASPECTS = st.floats(0.3, 3.3)


@given(SEEDS, ASPECTS, st.floats(0, 1))
def test_objects_stay_inside_and_apart(seed: int, aspect: float, hard: float) -> None:
    scene = scenes.shapes(Random(seed), aspect, hard)
    width, height = max(aspect, 1.0), max(1 / aspect, 1.0)
    assert 1 <= len(scene.objects) <= MAX_OBJECTS
    for n, one in enumerate(scene.objects):
        assert one.radius <= one.x * width <= width - one.radius
        assert one.radius <= one.y * height <= height - one.radius
        for other in scene.objects[:n]:
            dx, dy = (one.x - other.x) * width, (one.y - other.y) * height
            assert math.hypot(dx, dy) > one.radius + other.radius


@given(SEEDS, ASPECTS)
def test_objects_that_questions_locate_have_a_clear_place(
    seed: int, aspect: float
) -> None:
    scene = scenes.shapes(Random(seed), aspect)
    if scene.placed:
        for thing in scene.objects:
            for fraction in (thing.x, thing.y):
                assert min(abs(fraction - 1 / 3), abs(fraction - 2 / 3)) > 0.04


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        (0.1, 0.1, "top left"),
        (0.5, 0.1, "top"),
        (0.9, 0.5, "right"),
        (0.5, 0.5, "middle"),
        (0.2, 0.9, "bottom left"),
        (1.0, 1.0, "bottom right"),
    ],
)
def test_places_have_their_usual_names(x: float, y: float, place: str) -> None:
    assert Object(scenes.Kind("red", "ring"), x, y, 0.1).place == place


def test_easy_scenes_are_few_and_large() -> None:
    easy = [scenes.shapes(Random(seed), 1.0, hard=0.0) for seed in range(200)]
    assert max(len(scene.objects) for scene in easy) == 2
    assert min(o.radius for scene in easy for o in scene.objects) >= 0.19


@given(SEEDS)
def test_numbers_and_words_match_their_questions(seed: int) -> None:
    number, line = scenes.number(Random(seed)), scenes.writing(Random(seed))
    assert number.is_number and 1 <= len(number.text) <= MAX_DIGITS
    assert not line.is_number and 1 <= len(line.text) <= MAX_LETTERS
    assert line.text.isascii() and line.text.isalnum()


def test_every_kind_occurs() -> None:
    rng = Random(0)
    drawn = [scenes.shapes(rng, 1.0) for _ in range(600)]
    kinds = {kind for scene in drawn for kind in scene.kinds}
    assert {kind.shape for kind in kinds} == set(scenes.SHAPES)
    assert {kind.colour for kind in kinds} == set(scenes.COLOURS)
    assert {len(scene.objects) for scene in drawn} == set(range(1, MAX_OBJECTS + 1))
    assert {t.place for s in drawn for t in s.objects} == {
        place for row in scenes.PLACES for place in row
    }


def test_kinds_are_named_from_left_to_right() -> None:
    star, ring = scenes.Kind("red", "star"), scenes.Kind("blue", "ring")
    things = (Object(ring, 0.8, 0.1, 0.1), Object(star, 0.2, 0.8, 0.1))
    assert Shapes(things).kinds == (star, ring)

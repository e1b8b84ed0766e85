"""The targets of the vision tower agree with the scene."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scenes
from training.draw import Style, draw
from training.facts import FACTS, KINDS, THINGS, TRUTHS, UNKNOWN, ZONES, facts, truth_of
from training.scenes import COLOURS, Kind, Object, Other, Shapes, Writing

NAMES = list(FACTS)


@given(st.integers(0, 10_000), st.floats(0.4, 2.5))
def test_facts_of_objects_agree_with_the_questions(seed: int, aspect: float) -> None:
    scene = scenes.shapes(Random(seed), aspect)
    table = facts(scene)
    assert not table[0].any()
    n = len(scene.objects)
    for row, thing in zip(table[1:], scene.objects, strict=True):
        said = dict(zip(NAMES, row.tolist(), strict=True))
        assert THINGS[said["what"] - 1] == thing.kind.shape
        assert COLOURS[said["colour"] - 1] == thing.kind.colour
        assert KINDS[said["kind"] - 1] == thing.kind
        assert said["of"] == n
        assert said["alike"] == scene.count(thing.kind)
        assert said["same shape"] >= said["alike"] <= said["same colour"]
        zone = said["zone"]
        assert zone == UNKNOWN or ZONES[zone - 1] == thing.place
        assert (zone != UNKNOWN) == scene.placed
    ranks = [int(row[NAMES.index("rank")]) for row in table[1:]]
    by_x = sorted(zip(ranks, scene.objects, strict=True), key=lambda pair: pair[1].x)
    assert [rank for rank, _ in by_x] == list(range(1, n + 1))
    sizes = table[1:, NAMES.index("size")]
    radii = [thing.radius for thing in scene.objects]
    assert sizes[int(np.argmax(radii))] == 3
    assert n == 1 or sizes[int(np.argmin(radii))] == 1


def test_facts_of_letters_are_letter_and_position() -> None:
    table = facts(Writing("b7Q", "blue"))[1:]
    assert [THINGS[row[0] - 1] for row in table] == list("b7Q")
    assert {COLOURS[row[1] - 1] for row in table} == {"blue"}
    assert table[:, NAMES.index("rank")].tolist() == [1, 2, 3]
    assert set(table[:, NAMES.index("of")].tolist()) == {3}
    rest = [NAMES.index(name) for name in ("kind", "zone", "size", "alike")]
    assert (table[:, rest] == UNKNOWN).all()  # no question asks where a letter is


@pytest.mark.parametrize("scene", [Other(), Shapes(()), Writing("", "red")])
def test_the_background_has_no_facts(scene: scenes.Scene) -> None:
    assert facts(scene).tolist() == [[0] * len(FACTS)]


@given(st.integers(0, 10_000), st.floats(0.4, 2.5))
def test_facts_are_within_their_number_of_values(seed: int, aspect: float) -> None:
    rng = Random(seed)
    for scene in (scenes.shapes(rng, aspect), scenes.writing(rng), scenes.number(rng)):
        known = np.where(facts(scene) == UNKNOWN, 0, facts(scene))
        assert (known < list(FACTS.values())).all()


def test_a_patch_has_the_facts_at_its_middle() -> None:
    heart = Object(Kind("red", "heart"), 0.25, 0.5, 0.3)
    star = Object(Kind("blue", "star"), 0.75, 0.5, 0.3)
    scene = Shapes((star, heart))
    drawn = draw(Random(0), scene, 256, 128, Style(fonts=()))
    n_rows, n_columns = 4, 8
    truth = truth_of(scene, drawn, n_rows, n_columns)
    assert truth.shape == (4 * n_rows * n_columns, TRUTHS)
    # Patches come in blocks of 2x2: back to the order of the picture.
    cells = truth.reshape(n_rows, n_columns, 2, 2, TRUTHS)
    patches = cells.transpose(0, 2, 1, 3, 4).reshape(2 * n_rows, -1, TRUTHS)
    for thing, row in zip(scene.objects, facts(scene)[1:], strict=True):
        at = patches[n_rows, int(thing.x * 2 * n_columns)]
        assert at[0] == 1  # the centre
        assert at[1 : 1 + len(FACTS)].tolist() == row.tolist()
    assert not patches[0, 0].any()

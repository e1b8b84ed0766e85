"""The targets of edges fit the boxes of what is drawn."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from training import scenes
from training.draw import Style, draw
from training.edges import edges_of
from training.grounding import SCALE, boxes_of

PLAIN = Style(fonts=(), clutter=0, noise=0, jpeg=0)
ROWS, COLUMNS = 6, 12


@pytest.mark.parametrize("seed", range(20))
def test_each_patch_knows_the_box_of_its_object(seed: int) -> None:
    scene = scenes.shapes(Random(seed), 2.0)
    drawn = draw(Random(seed), scene, 32 * COLUMNS, 32 * ROWS, PLAIN)
    things = np.asarray(drawn.things)
    edges = edges_of(things, len(drawn.centres), ROWS, COLUMNS)
    for number, box in enumerate(boxes_of(drawn), 1):
        here = edges.owner == number
        assert here.any()
        assert edges.whole[here] * SCALE == pytest.approx(
            np.tile(box, (here.sum(), 1)), abs=1
        )
    assert not edges.share[edges.owner == 0].max() > 0.04


def test_a_part_is_seen_where_it_is_in_the_patch() -> None:
    things = np.zeros((32, 64), np.uint8)
    things[4:20, 24:44] = 1
    edges = edges_of(things, 1, 1, 2)
    # Two cells of four patches each: cell by cell, the patches of one in reading order.
    assert edges.owner.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert edges.part[1].tolist() == [0.5, 0.25, 1.0, 1.0]
    assert edges.part[6].tolist() == [0.0, 0.0, 0.75, 0.25]
    assert edges.share[1] == 0.5 * 0.75
    assert edges.whole[1] == pytest.approx([24 / 64, 4 / 32, 44 / 64, 20 / 32])


def test_pictures_without_objects_have_no_edges() -> None:
    edges = edges_of(np.zeros((64, 64), np.uint8), 0, 2, 2)
    assert not edges.owner.any()
    assert not edges.share.any()

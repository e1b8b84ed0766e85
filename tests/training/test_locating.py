"""Rows for locating ask for boxes, and weigh the leading digits most."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from edge.images import Picture
from training import scenes
from training.draw import Style, draw
from training.grounding import answer, boxes_of
from training.locating import DECIDES, DIGITS, ENDS, TEXT, locating, weights
from training.rows import IGNORED, to_vision_input
from training.tokens import Tokens

PLAIN = Style(fonts=(), clutter=0, noise=0, jpeg=0)
UNITS, TENS, HUNDREDS, THOUSANDS = DIGITS


def test_leading_digits_weigh_most_and_digits_of_the_form_little() -> None:
    tokens = Tokens()
    text = '[\n\t{"bbox_2d": [7, 45, 318, 1000], "label": "red circle"}\n]'
    ids = tokens.encode(text)
    found = weights(tokens, ids)
    digits = [
        (tokens.decode([one]), weight)
        for one, weight in zip(ids, found, strict=True)
        if weight != TEXT
    ]
    assert digits == [
        ("\n", DECIDES),
        *[("7", UNITS), (",", ENDS)],
        *[("4", TENS), ("5", UNITS), (",", ENDS)],
        *[("3", HUNDREDS), ("1", TENS), ("8", UNITS), (",", ENDS)],
        *[("1", THOUSANDS), ("0", HUNDREDS), ("0", TENS), ("0", UNITS), ("]", ENDS)],
        ("\n", DECIDES),
    ]


def test_that_there_is_no_box_weighs_as_much_as_that_there_is_another() -> None:
    tokens = Tokens()
    for boxes, decisive in (([], "]"), ([(7, 45, 318, 1000)] * 2, "\n,\n")):
        ids = tokens.encode(answer(boxes, "red circle"))
        found = zip(ids, weights(tokens, ids), strict=True)
        deciding = (one for one, weight in found if weight == DECIDES)
        shown = tokens.decode(list(deciding))
        assert "".join(c for c in shown if not c.isdigit()) == decisive


def test_a_row_asks_about_one_picture_and_learns_only_answers() -> None:
    tokens, rng = Tokens(), Random(1)
    scene = scenes.shapes(rng, 1.0)
    drawn = draw(rng, scene, 256, 256, PLAIN)
    seen = to_vision_input(scene, Picture(256, 256, drawn.image.tobytes()))
    row = locating(rng, tokens, replace(seen, boxes=boxes_of(drawn)))
    assert row.ids.count(tokens.image) == seen.rows * seen.columns
    assert len(row.pictures) == 1
    learned = [one for one in row.labels if one != IGNORED]
    assert tokens.decode(learned).startswith("```json\n[")
    assert len(row.ids) == len(row.labels) == len(row.weights)

"""Boxes are those of the drawn objects, in the form that Qwen3-VL writes."""

from __future__ import annotations

import json
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scenes
from training.draw import Style, draw
from training.grounding import SCALE, answer, boxes_in, boxes_of, locate, overlap
from training.marking import is_right
from training.questions import Question
from training.scenes import Kind, Object, Shapes

RED_CIRCLE, BLUE_SQUARE = Kind("red", "circle"), Kind("blue", "square")
PAIR = Shapes((Object(RED_CIRCLE, 0.25, 0.5, 0.3), Object(BLUE_SQUARE, 0.75, 0.5, 0.3)))
PLAIN = Style(fonts=(), clutter=0, noise=0, jpeg=0)
BOXES = ((100, 200, 400, 800), (600, 250, 900, 750))


def test_boxes_are_thousandths_of_each_side() -> None:
    circle, square = boxes_of(draw(Random(0), PAIR, 400, 200, PLAIN))
    assert circle == pytest.approx((100, 200, 400, 800), abs=6)
    assert square[0] > 600
    assert square[2] < 900


@given(st.integers(0, 10_000), st.floats(0.4, 2.5))
def test_boxes_surround_the_centres(seed: int, aspect: float) -> None:
    rng = Random(seed)
    scene = scenes.shapes(rng, aspect)
    drawn = draw(rng, scene, round(200 * aspect), 200, PLAIN)
    for thing, (left, top, right, bottom) in zip(
        scene.objects, boxes_of(drawn), strict=True
    ):
        assert 0 <= left < thing.x * SCALE < right <= SCALE
        assert 0 <= top < thing.y * SCALE < bottom <= SCALE


@given(st.integers(0, 10_000), st.sampled_from(["en", "zh"]))
def test_an_answer_is_json_with_the_boxes_that_were_asked_for(
    seed: int, language: str
) -> None:
    question = locate(Random(seed), PAIR, BOXES, language)
    fence, body, end = re.split(r"(?<=```json)|(?=```$)", question.answer)
    assert (fence, end) == ("```json", "```")
    found = json.loads(body)
    assert [tuple(entry["bbox_2d"]) for entry in found] == boxes_in(question.answer)
    assert set(boxes_in(question.answer)) <= set(BOXES)
    for entry in found:
        assert entry["label"] in question.text


@pytest.mark.parametrize(
    ("words", "language"), [("red circle", "en"), ("红色圆形", "zh")]
)
def test_the_box_belongs_to_the_object_that_is_named(words: str, language: str) -> None:
    asked = [locate(Random(seed), PAIR, BOXES, language) for seed in range(300)]
    told = {q.answer for q in asked if words in q.text.replace("的", "")}
    assert {tuple(boxes_in(text)) for text in told} == {BOXES[:1]}


def test_nothing_is_found_where_nothing_is() -> None:
    absent = [
        q
        for seed in range(300)
        if not boxes_in((q := locate(Random(seed), PAIR, BOXES, "en")).answer)
    ]
    assert {q.answer for q in absent} == {answer([], "")} == {"```json\n[]\n```"}
    assert not any(re.search("red circle|blue square", q.text) for q in absent)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ([(100, 200, 400, 800)], True),
        ([(110, 190, 405, 790)], True),
        ([(200, 200, 500, 800)], False),  # half of it
        ([(100, 200, 400, 800)] * 2, False),
        ([], False),
    ],
)
def test_a_box_is_right_if_it_overlaps_enough(found, right: bool) -> None:
    question = Question("locate", "en", "Locate it.", answer([BOXES[0]], "red circle"))
    assert is_right(question, answer(found, "red circle")) is right
    assert not is_right(question, answer(found, "red square"))

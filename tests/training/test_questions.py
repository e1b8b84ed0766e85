"""Answers agree with the scene, in both languages."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import scenes
from training.chinese import CHINESE, IN_CHINESE
from training.english import ENGLISH, PLURALS
from training.questions import Question, ask
from training.scenes import Kind, Object, Other, Shapes, Writing

RED_STAR, BLUE_RING = Kind("red", "star"), Kind("blue", "ring")
PAIR = Shapes((Object(BLUE_RING, 0.8, 0.8, 0.2), Object(RED_STAR, 0.2, 0.1, 0.1)))


def every_question(scene: scenes.Scene, language: str) -> list[Question]:
    """All possible questions: many draws of each offer."""
    rng = Random(1)
    drawn = [q for _ in range(300) for q in ask(rng, scene, 40, language)]
    return list(dict.fromkeys(drawn))


def answers(scene: scenes.Scene, language: str, kind: str) -> set[str]:
    return {q.answer for q in every_question(scene, language) if q.kind == kind}


def test_two_objects_are_described_from_left_to_right() -> None:
    assert answers(PAIR, "en", "describe") == {
        "The picture shows a red star at the top left"
        " and a blue ring at the bottom right."
    }
    assert answers(PAIR, "zh", "describe") == {
        "图中左上角有一个红色的星形，右下角有一个蓝色的圆环。"
    }


def test_bigger_and_smaller_are_distinguished() -> None:
    asked = every_question(PAIR, "en")
    told = {q.text: q.answer for q in asked if q.kind == "compare"}
    assert {told[text] for text in ENGLISH.bigger} == {"The blue ring."}
    assert {told[text] for text in ENGLISH.smaller} == {"The red star."}


def test_similar_sizes_are_not_compared() -> None:
    alike = Shapes((Object(BLUE_RING, 0.8, 0.8, 0.2), Object(RED_STAR, 0.2, 0.1, 0.19)))
    assert not answers(alike, "en", "compare")


def test_a_shared_property_does_not_identify_an_object() -> None:
    both_red = Shapes(
        (
            Object(Kind("red", "star"), 0.2, 0.2, 0.1),
            Object(Kind("red", "ring"), 0.8, 0.8, 0.1),
        )
    )
    asked = [q.text for q in every_question(both_red, "en") if q.kind == "shape"]
    assert not asked  # "what shape is the red one?" would have two answers


def test_many_objects_are_counted_and_not_located() -> None:
    rings = tuple(Object(BLUE_RING, 0.1 + 0.18 * n, 0.5, 0.08) for n in range(5))
    crowd = Shapes((*rings, Object(RED_STAR, 0.5, 0.1, 0.08)))
    assert not answers(crowd, "en", "where")
    assert answers(crowd, "en", "describe") == {
        "The picture shows 5 blue rings and 1 red star."
    }
    assert answers(crowd, "zh", "describe") == {
        "图中有5个蓝色的圆环，有1个红色的星形。"
    }


@given(st.integers(0, 5000), st.sampled_from(["en", "zh"]))
def test_counts_agree_with_the_scene(seed: int, language: str) -> None:
    rng = Random(seed)
    scene = scenes.shapes(rng, 1.0)
    for question in ask(rng, scene, 40, language):
        if question.kind != "count":
            continue
        words = question.text.replace("the shapes", "shapes")
        colour = next((c for c in scenes.COLOURS if _names(words, c)), None)
        shape = next((s for s in scenes.SHAPES if _names(words, s)), None)
        n = sum(
            colour in (None, thing.kind.colour) and shape in (None, thing.kind.shape)
            for thing in scene.objects
        )
        nothing = " no " if language == "en" else "没有"
        said = "".join(filter(str.isdigit, question.answer))
        assert said == str(n) if n else nothing in question.answer


def _names(text: str, word: str) -> bool:
    return (
        f"{PLURALS.get(word, word)} " in f"{text.rstrip('?.')} "
        or IN_CHINESE[word] in text
    )


@pytest.mark.parametrize("scene", [Writing("407", "red"), Writing("Ab1", "red")])
@pytest.mark.parametrize(("say", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_writing_is_read_exactly(scene: Writing, say, language: str) -> None:
    asked = {q.text: q.answer for q in every_question(scene, language)}
    assert {asked[text] for text in say.read} == {scene.text}
    assert all(scene.text in asked[text] for text in say.describe)
    assert {asked[text] for text in say.which_shape} == {say.no_shapes}


@pytest.mark.parametrize(("say", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_unknown_pictures_are_answered_honestly(say, language: str) -> None:
    assert {q.answer for q in every_question(Other(), language)} == {say.honest}


def test_both_languages_ask_the_same_kinds() -> None:
    for scene in (PAIR, Writing("407", "red"), Other()):
        english, chinese = (every_question(scene, lang) for lang in ("en", "zh"))
        assert {q.kind for q in english} == {q.kind for q in chinese}


def test_questions_of_one_picture_differ() -> None:
    asked = ask(Random(0), PAIR, 12, "en")
    assert len(asked) == 12

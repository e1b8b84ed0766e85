"""Queries are met by the scenes that show what they name."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.qwen3vl import chat
from edge.request import PictureRef
from training import reranking, scenes
from training.chinese import IN_CHINESE
from training.questions import Question
from training.rows import Row, prompt
from training.scenes import COLOURS, SHAPES, Kind, Object, Shapes
from training.tokens import Tokens

RED_CIRCLE, BLUE_SQUARE = Kind("red", "circle"), Kind("blue", "square")
PAIR = Shapes((Object(RED_CIRCLE, 0.25, 0.5, 0.2), Object(BLUE_SQUARE, 0.75, 0.5, 0.2)))


def asked(scene: Shapes, language: str) -> list[Question]:
    return [reranking.query(Random(seed), scene, language) for seed in range(400)]


def named(text: str, words: tuple[str, ...]) -> str | None:
    return next((w for w in words if w in text.lower() or IN_CHINESE[w] in text), None)


@given(st.integers(0, 10_000), st.sampled_from(["en", "zh"]))
def test_a_query_is_met_if_one_object_has_all_that_it_names(
    seed: int, language: str
) -> None:
    rng = Random(seed)
    scene = scenes.shapes(rng, 1.0)
    question = reranking.query(rng, scene, language)
    colour, shape = named(question.text, COLOURS), named(question.text, SHAPES)
    assert colour or shape
    met = any(
        colour in (None, kind.colour) and shape in (None, kind.shape)
        for kind in scene.kinds
    )
    assert question.answer == ("yes" if met else "no")


@pytest.mark.parametrize(
    ("language", "near", "met"),
    [
        ("en", {"a red square", "a blue circle"}, {"a red circle", "a blue square"}),
        ("zh", {"红色的正方形", "蓝色的圆形"}, {"红色的圆形", "蓝色的正方形"}),
    ],
)
def test_half_of_the_queries_are_missed_and_many_of_them_narrowly(
    language: str, near: set[str], met: set[str]
) -> None:
    questions = asked(PAIR, language)
    missed = [q.text for q in questions if q.answer == "no"]
    assert 150 < len(missed) < 250
    assert near <= set(missed)
    assert met <= {q.text for q in questions if q.answer == "yes"}


def test_the_prompt_is_the_published_one() -> None:
    document = PictureRef("0" * 64, 64, 64)
    parts = list(chat.render(reranking.messages("a red circle", document)))
    texts = [part.text if part != document else "PICTURE" for part in parts]
    assert "".join(texts) == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based "
        "on the Query and the Instruct provided. Note that the answer can only be "
        '"yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a search query, '
        "retrieve relevant candidates that answer the query.<Query>:a red circle\n"
        "<Document>:<|vision_start|>PICTURE<|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_document_may_be_a_text() -> None:
    tokens, row = Tokens(), Row()
    text = reranking.document(Random(0), PAIR)
    prompt(row, tokens, reranking.messages("a red circle", text), {})
    assert f"<Document>:{text}<|im_end|>" in tokens.decode(row.ids)
    assert not row.pictures

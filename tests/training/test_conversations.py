"""Batches have what the model and the losses need."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image

from edge.gguf.layout import TINY
from edge.images import Picture
from training import reranking, scenes
from training.batch import collate
from training.conversations import Conversations
from training.fonts import BUILT_IN
from training.judging import judge
from training.rows import IGNORED, Row, answer_turn, prompt, to_vision_input
from training.tokens import Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens()


def test_batches_are_equal_for_equal_numbers(tokens: Tokens) -> None:
    """As after a restart, which begins with a later batch."""
    first, again = (Conversations(tokens, (BUILT_IN,), 1, 6) for _ in range(2))
    first.batch(4000)
    one, other = first.batch(4001), again.batch(4001)
    assert np.array_equal(one.patches, other.patches)
    for text, same in zip(one.texts, other.texts, strict=True):
        assert np.array_equal(text.ids, same.ids)


def test_each_target_is_the_next_token_and_each_image_token_has_its_cell(
    tokens: Tokens,
) -> None:
    batch = Conversations(tokens, (BUILT_IN,), 2, 6).batch(5000)
    n_cells = len(batch.patches) // 4
    assert n_cells == batch.grids.prod(axis=1).sum() // 4
    assert len(batch.truth) == len(batch.patches)
    for text in batch.texts:
        known = text.labels[:, :-1] != IGNORED
        assert np.array_equal(text.labels[:, :-1][known], text.ids[:, 1:][known])
        assert known.any(axis=1).all()
        assert (text.ids == tokens.image).sum() == len(text.cells)
        assert text.cells.max() < n_cells


def test_a_picture_of_several_rows_is_in_the_batch_once(tokens: Tokens) -> None:
    scene, rng = scenes.shapes(Random(0), 1.0), Random(0)
    image = Image.new("RGB", (256, 256))
    seen = to_vision_input(scene, Picture(256, 256, image.tobytes()))
    rows = [judge(rng, tokens, [seen], published=True) for _ in range(30)]
    batch = collate(rows[:20], rows[20:])
    shown = np.concatenate([text.cells for text in batch.texts])
    assert len(shown) > 64
    assert set(shown.tolist()) == set(range(64))
    assert len(batch.patches) == 4 * 128  # rounded up


def test_a_batch_without_a_picture_has_blank_patches(tokens: Tokens) -> None:
    scene, row = scenes.shapes(Random(0), 1.0), Row()
    text = reranking.document(Random(0), scene)
    question = reranking.query(Random(0), scene, "en")
    prompt(row, tokens, reranking.messages(question.text, text), {})
    answer_turn(row, tokens, question, scene)
    batch = collate([row])
    assert not batch.texts[0].cells.size
    assert not batch.patches.any()
    assert batch.grids.prod(axis=1).max() <= 4 * TINY.max_image_tokens

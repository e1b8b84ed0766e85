"""Batches have what the model and the losses need."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from edge.gguf.layout import TINY
from training import reranking, scenes
from training.conversations import Conversations
from training.fonts import BUILT_IN
from training.rows import IGNORED, Row, answer_turn, collate, prompt
from training.tokens import Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens()


def test_batches_are_equal_for_equal_numbers(tokens: Tokens) -> None:
    """As after a restart, which begins with a later batch."""
    first, again = (Conversations(tokens, (BUILT_IN,), 1, 6) for _ in range(2))
    first.batches(4000)
    for one, other in zip(first.batches(4001), again.batches(4001), strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.patches, other.patches)


def test_each_target_is_the_next_token_and_each_image_token_has_its_patches(
    tokens: Tokens,
) -> None:
    for batch in Conversations(tokens, (BUILT_IN,), 2, 6).batches(5000):
        known = batch.labels[:, :-1] != IGNORED
        assert np.array_equal(batch.labels[:, :-1][known], batch.ids[:, 1:][known])
        assert known.any(axis=1).all()
        n_cells = len(batch.patches) // 4
        assert n_cells == batch.grids.prod(axis=1).sum() // 4
        assert (batch.ids == tokens.image).sum() <= n_cells
        assert len(batch.truth) == len(batch.patches)


def test_a_batch_without_a_picture_has_blank_patches(tokens: Tokens) -> None:
    scene, row = scenes.shapes(Random(0), 1.0), Row()
    text = reranking.document(Random(0), scene)
    question = reranking.query(Random(0), scene, "en")
    prompt(row, tokens, reranking.messages(question.text, text), {})
    answer_turn(row, tokens, question, scene)
    batch = collate([row])
    assert not (batch.ids == tokens.image).any()
    assert not batch.patches.any()
    assert batch.grids.prod(axis=1).max() <= 4 * TINY.max_image_tokens

"""Rows for judging: a reranker's prompt with its answer.

Conversations have taught to look for what a question before a picture names, and the
shortest of these prompts are close to theirs: that knowledge carries over from one form
to the next, up to the published prompt.
"""

from __future__ import annotations

from random import Random
from typing import Final

from edge.qwen3vl.rerank import DOCUMENT, before_query
from edge.request import Message, PictureRef
from training import reranking, scenes
from training.questions import PHRASES, Question
from training.rows import Row, VisionInput, answer_turn, prompt
from training.scenes import Shapes
from training.tokens import Tokens

TEXTS: Final = 0.4  # of the documents


def judge(
    rng: Random, tokens: Tokens, seen: list[VisionInput], *, published: bool
) -> Row:
    """A query about one of these pictures or about a text, with the `published` prompt
    or a short form of it."""
    row = Row()
    document: str | PictureRef
    pictures = {}
    if seen and rng.random() >= TEXTS:
        picture = rng.choice(seen)
        scene, document = picture.scene, picture.picture.ref
        pictures[document] = picture
    else:
        scene = scenes.shapes(rng, 1.0)
        document = reranking.document(rng, scene)
    assert isinstance(scene, Shapes)
    question = reranking.query(rng, scene, rng.choice(("en", "zh")))
    if published:
        instruction = reranking.instruction(rng)
        asked = reranking.messages(question.text, document, instruction)
    else:
        before = rng.choice(_short_forms(rng, question))
        asked = (Message("user", (f"{before}{DOCUMENT}", document)),)
    prompt(row, tokens, asked, pictures)
    answer_turn(row, tokens, question, scene)
    return row


def _short_forms(rng: Random, query: Question) -> tuple[str, ...]:
    """From a question of a conversation to the query in a reranker's prompt."""
    is_there = rng.choice(PHRASES[query.language].is_there).format(it=query.text)
    bare = f"{before_query('')}{query.text}"
    return is_there, f"{before_query('')}{is_there}", bare, bare

"""The examination: questions about pictures outside of the training data.

Its seeds and fonts are different, its sizes and shapes exceed those of training, and it
has the same number of questions of each kind.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from PIL import Image

from edge.images import Picture
from edge.request import Message
from training import draw, fonts, reranking, scenes
from training.fonts import Font
from training.grounding import boxes_of, locate
from training.questions import Language, Question, ask
from training.scenes import Scene

KINDS: Final = (
    "shape",
    "colour",
    "shape and colour",
    "count",
    "where",
    "what is where",
    "compare",
    "yes or no",
    "number",
    "read",
    "describe",
    "none of this",
    "absent",
)
# Kinds that came later, so that the questions before them are still the same.
LATER: Final = ("locate", "rerank pictures", "rerank texts")


@dataclass(frozen=True)
class Item:
    """One question about one picture, as a user would send it, or a reranker's about a
    picture or a text without a picture."""

    image: Image.Image | None
    scene: Scene
    question: Question
    document: str = ""

    @property
    def picture(self) -> Picture:
        assert self.image
        return Picture(*self.image.size, self.image.tobytes())

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return (self.picture,) if self.image else ()

    @property
    def messages(self) -> tuple[Message, ...]:
        text = self.question.text
        if self.question.kind.startswith("rerank"):
            return reranking.messages(text, self.document or self.picture.ref)
        return (Message("user", (self.picture.ref, text)),)


def examination(
    seed: int, per_kind: int, unused_fonts: tuple[Font, ...] | None = None
) -> list[Item]:
    """`per_kind` questions of each kind, half of them in Chinese, with the held-out
    fonts or other fonts that training does not use."""
    rng = Random(f"examination {seed}")
    style = draw.Style(unused_fonts or fonts.held_out())
    wanted = Counter(dict.fromkeys(KINDS, per_kind))
    items: list[Item] = []
    while wanted.total() > 0:
        aspect = math.exp(rng.uniform(-0.8, 0.8))
        scene = _scene(rng, wanted, aspect)
        if isinstance(scene, scenes.Writing):
            aspect = math.exp(rng.uniform(-0.2, 1.4))
        language: Language = "en" if len(items) % 2 else "zh"
        left = [q for q in ask(rng, scene, 20, language) if wanted[q.kind] > 0]
        if not left:
            continue
        # The kind with the fewest questions: easy kinds must not use up the pictures.
        most = max(wanted[q.kind] for q in left)
        question = rng.choice([q for q in left if wanted[q.kind] == most])
        wanted[question.kind] -= 1
        image = draw.picture(rng, scene, *_size(rng, aspect), style)
        items.append(Item(image, scene, question))
    rng = Random(f"later kinds {seed}")
    return items + [_later(rng, kind, style) for kind in LATER * per_kind]


def parity_questions() -> list[Item]:
    """The 300 questions that `training.parity` and the parity test share."""
    return examination(300, 24, (fonts.BUILT_IN,))[:300]


def _later(rng: Random, kind: str, style: draw.Style) -> Item:
    aspect = math.exp(rng.uniform(-0.8, 0.8))
    scene = scenes.shapes(rng, aspect)
    language: Language = rng.choice(("en", "zh"))
    if kind == "rerank texts":
        question = replace(reranking.query(rng, scene, language), kind=kind)
        return Item(None, scene, question, reranking.document(rng, scene))
    drawn = draw.draw(rng, scene, *_size(rng, aspect), style)
    question = (
        locate(rng, scene, boxes_of(drawn), language)
        if kind == "locate"
        else replace(reranking.query(rng, scene, language), kind=kind)
    )
    return Item(drawn.image, scene, question)


def _size(rng: Random, aspect: float) -> tuple[int, int]:
    longest = rng.randint(150, 900)
    return round(longest * min(1.0, aspect)), round(longest * min(1.0, 1 / aspect))


def _scene(rng: Random, wanted: Counter[str], aspect: float) -> Scene:
    kind = rng.choice([kind for kind in KINDS if wanted[kind] > 0])
    if kind == "read":
        return scenes.writing(rng)
    if kind == "number":
        return scenes.number(rng)
    if kind == "none of this":
        return scenes.Other()
    if kind in ("describe", "colour", "absent") and rng.random() < 0.3:
        return rng.choice((scenes.number, scenes.writing))(rng)
    return scenes.shapes(rng, aspect)

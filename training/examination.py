"""The examination: questions about pictures outside of the training data.

Its seeds and fonts are different, its sizes and shapes exceed those of training, and it
has the same number of questions of each kind.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from PIL import Image

from edge.images import Picture
from training import draw, fonts, scenes
from training.fonts import Font
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


@dataclass(frozen=True)
class Item:
    """One question about one picture, as a user would send it."""

    image: Image.Image
    scene: Scene
    question: Question

    @property
    def picture(self) -> Picture:
        return Picture(*self.image.size, self.image.tobytes())


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
        longest = rng.randint(150, 900)
        width = round(longest * min(1.0, aspect))
        height = round(longest * min(1.0, 1 / aspect))
        items.append(
            Item(draw.picture(rng, scene, width, height, style), scene, question)
        )
    return items


def parity_questions() -> list[Item]:
    """The 300 questions that `training.parity` and the parity test share."""
    return examination(300, 24, (fonts.BUILT_IN,))[:300]


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

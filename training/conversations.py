"""Training data: conversations about drawn pictures, in batches.

Batch `k` is a function of the seed and `k` alone, so an interrupted training run
resumes without a difference. Drawing a picture takes longer than training on it, so
each is used in three batches, far apart and with different questions.
"""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Final

from edge.gguf.layout import TINY
from edge.images import PIXELS_PER_TOKEN, Picture
from training import draw, questions, scenes
from training.batch import Batch, collate
from training.edges import owners
from training.facts import truth_of
from training.fonts import Font
from training.grounding import boxes_of
from training.judging import judge
from training.locating import locating
from training.questions import Language, Question, ask, narrow_miss, small_talk
from training.rows import (
    Row,
    VisionInput,
    learn,
    template,
    to_vision_input,
    turn,
)
from training.scenes import Scene, Shapes
from training.tokens import Tokens

# Of the questions that `ask` draws; `where` needs shape and colour at once.
WEIGHTS: Final = {**questions.WEIGHTS, "where": 2.5}
JUDGED: Final = 12  # rows for judging, with a short prompt
PUBLISHED: Final = 4  # and with the published one
N_TOKENS: Final = 200  # of a conversation: questions are added up to this length
USES: Final = 3
APART: Final = 25  # batches between two uses of a picture
EASY_CELLS: Final = 36
SMALLEST: Final = 16  # cells of a picture as drawn: it is enlarged to the least
LARGEST: Final = 4 * TINY.max_image_tokens
EASY: Final = 600  # until this batch few, large and clean things are drawn
HARD: Final = 2600  # from this batch on anything

SYSTEM: Final = ("You are a helpful assistant.", "你是一个有用的助手。")


def draw_vision_input(
    rng: Random, fonts: tuple[Font, ...], hard: float, kind: str | None = None
) -> VisionInput:
    """A picture of random size, shape and content; `hard` grows from 0 to 1.

    Reading comes last: a model that cannot tell a star from a ring learns no letters.
    """
    reading = max(0.0, 2 * hard - 1)
    shares = {
        "shapes": 0.82 - 0.4 * reading,
        "number": 0.1 + 0.04 * reading,
        "writing": 0.36 * reading,
        "other": 0.08,
    }
    kind = kind or rng.choices(list(shares), list(shares.values()))[0]
    reach = (-0.25, 1.4) if kind in ("number", "writing") else (-0.75, 0.75)
    aspect = math.exp(rng.uniform(*reach) * hard)
    scene: Scene
    if kind == "shapes":
        scene = scenes.shapes(rng, aspect, hard)
    elif kind == "number":
        scene = scenes.number(rng, hard)
    elif kind == "writing":
        lines = [scenes.writing(rng, reading) for _ in range(rng.choice((1, 2)))]
        scene = max(lines, key=lambda line: len(line.text))  # long ones are harder
    else:
        scene = scenes.Other()
    area = math.exp(
        rng.uniform(math.log(SMALLEST), math.log(LARGEST)) * hard
        + math.log(EASY_CELLS) * (1 - hard)
    )
    pixels = area * PIXELS_PER_TOKEN
    width, height = int(math.sqrt(pixels * aspect)), int(math.sqrt(pixels / aspect))
    wear = 0.35 * hard
    style = draw.Style(fonts, clutter=wear, noise=wear, jpeg=wear)
    drawn = draw.draw(rng, scene, width, height, style)
    seen = to_vision_input(scene, Picture(width, height, drawn.image.tobytes()))
    truth = truth_of(scene, drawn, seen.rows, seen.columns)
    if kind == "shapes":
        owner = owners(drawn, seen.rows, seen.columns)
        seen = replace(seen, boxes=boxes_of(drawn), owner=owner)
    return replace(seen, truth=truth)


class Conversations:
    """All batches of one training run."""

    def __init__(
        self,
        tokens: Tokens,
        fonts: tuple[Font, ...],
        seed: int,
        size: int,
        boxes: int = 0,
    ) -> None:
        """`size` pictures of a batch are talked about, and objects of `boxes` more are
        located."""
        self._tokens = tokens
        self._fonts = fonts
        self._seed = seed
        self._size = size
        self._boxes = boxes
        self._drawn: dict[tuple[int, str | None], list[VisionInput]] = {}

    def batch(self, k: int) -> Batch:
        """Batch `k`: conversations, and rows for judging in short and long forms."""
        groups = [k - use * APART for use in range(USES)]
        pictures = [seen for group in groups for seen in self._group(group)]
        self._drawn.pop((groups[-1], None), None)
        rng = Random(f"{self._seed} questions {k}")
        rng.shuffle(pictures)
        newest = self._group(k)
        shapes = [seen for seen in pictures if isinstance(seen.scene, Shapes)]
        return collate(
            [self._row(rng, seen, newest) for seen in pictures],
            self._judged(rng, shapes, JUDGED, published=False),
            self._judged(rng, shapes, PUBLISHED, published=True),
            *self._located(rng, groups),
        )

    def _located(self, rng: Random, groups: list[int]) -> list[list[Row]]:
        """Pictures of their own, because few others show shapes."""
        if not self._boxes:
            return []
        pictures = [seen for group in groups for seen in self._group(group, "shapes")]
        self._drawn.pop((groups[-1], "shapes"), None)
        return [[locating(rng, self._tokens, seen) for seen in pictures]]

    def _judged(
        self, rng: Random, shapes: list[VisionInput], n: int, *, published: bool
    ) -> list[Row]:
        rows = range(n)
        return [judge(rng, self._tokens, shapes, published=published) for _ in rows]

    def _group(self, number: int, kind: str | None = None) -> list[VisionInput]:
        if (number, kind) not in self._drawn:
            rng = Random(f"{self._seed} {kind or 'pictures'} {number}")
            hard = min(max((number - EASY) / (HARD - EASY), 0.0), 1.0)
            self._drawn[number, kind] = [
                draw_vision_input(rng, self._fonts, hard, kind)
                for _ in range((self._boxes if kind else self._size) // USES)
            ]
        return self._drawn[number, kind]

    def _row(self, rng: Random, seen: VisionInput, others: list[VisionInput]) -> Row:
        language: Language = rng.choice(("en", "zh"))
        row = Row()
        if rng.random() < 0.15:
            template(row, self._tokens, "<|im_start|>system\n")
            learn(row, self._tokens.encode(rng.choice(SYSTEM)))
            template(row, self._tokens, "<|im_end|>\n")
        if rng.random() < 0.04:
            turn(row, self._tokens, small_talk(rng, language), None)
        if rng.random() < 0.06:  # a chat with an earlier picture
            before = rng.choice(others)
            (question,) = ask(rng, before.scene, 1, language)
            turn(row, self._tokens, _casual(rng, question), before)
        fresh: VisionInput | None = seen
        asked = ask(rng, seen.scene, 12, language, WEIGHTS)
        if isinstance(seen.scene, Shapes) and rng.random() < 0.3:
            asked.insert(rng.randrange(3), narrow_miss(rng, seen.scene, language))
        for question in asked:
            if rng.random() < 0.03:
                (question,) = ask(rng, seen.scene, 1, rng.choice(("en", "zh")))
            last = rng.random() < 0.5
            turn(row, self._tokens, _casual(rng, question), fresh, picture_last=last)
            fresh = None
            if len(row.ids) > N_TOKENS - 16:
                break
        return row


def _casual(rng: Random, question: Question) -> Question:
    """The question as people type it, without capitals and full stops."""
    text = question.text
    if rng.random() < 0.1:
        text = text.lower()
    if rng.random() < 0.1:
        text = text.rstrip(".?!。？！")
    return replace(question, text=text)

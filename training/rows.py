"""Conversations as tokens, positions and training targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.gguf.layout import TINY
from edge.images import Picture
from edge.qwen3vl import chat, preprocess
from edge.qwen3vl.positions import picture_advance, picture_positions
from edge.request import Message, PictureRef
from training import scenes
from training.questions import Question
from training.scenes import Scene
from training.tokens import Tokens

READ_WEIGHT: Final = 2.0
IGNORED: Final = -100


@dataclass(frozen=True)
class VisionInput:
    """A picture as input of the vision tower, with its scene."""

    scene: Scene
    picture: Picture
    rows: int
    columns: int
    truth: npt.NDArray[np.uint8] | None = None  # see `training.facts`
    boxes: tuple[tuple[int, int, int, int], ...] = ()  # see `training.grounding`
    owner: npt.NDArray[np.int64] | None = None  # of each cell: object from 1, 0 = none


@dataclass
class Row:
    """One conversation, not yet padded."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    positions: list[npt.NDArray[np.int32]] = field(default_factory=list)
    position: int = 0  # of the next token; smaller than its index after a picture
    pictures: list[VisionInput] = field(default_factory=list)
    # Tokens whose successors are digits of a box, and the cells of its object.
    looking: list[tuple[int, list[int]]] = field(default_factory=list)


def to_vision_input(scene: Scene, picture: Picture) -> VisionInput:
    rows, columns = preprocess.grid(
        picture.width, picture.height, TINY.min_image_tokens, TINY.max_image_tokens
    )
    return VisionInput(scene, preprocess.fit(picture, rows, columns), rows, columns)


def turn(
    row: Row,
    tokens: Tokens,
    question: Question,
    seen: VisionInput | None,
    *,
    picture_last: bool = False,
) -> None:
    """Appends a question and its answer, in the form of `edge.qwen3vl.chat.render`."""
    ask_turn(row, tokens, question.text, seen, picture_last=picture_last)
    answer_turn(row, tokens, question, row.pictures[-1].scene if row.pictures else None)


def ask_turn(
    row: Row,
    tokens: Tokens,
    text: str,
    seen: VisionInput | None,
    *,
    picture_last: bool = False,
) -> None:
    """Appends the prompt of one turn, up to the start of the answer."""
    template(row, tokens, "<|im_start|>user\n")
    if picture_last:
        learn(row, tokens.encode(text))
    if seen is not None:
        template(row, tokens, "<|vision_start|>")
        show(row, tokens, seen)
        template(row, tokens, "<|vision_end|>")
    if not picture_last:
        learn(row, tokens.encode(text))
    template(row, tokens, "<|im_end|>\n")
    template(row, tokens, "<|im_start|>assistant\n")


def prompt(
    row: Row,
    tokens: Tokens,
    messages: Iterable[Message],
    pictures: Mapping[PictureRef, VisionInput],
) -> None:
    """Appends messages exactly as the engine renders them."""
    for part in chat.render(tuple(messages)):
        if isinstance(part, PictureRef):
            show(row, tokens, pictures[part])
        elif isinstance(part, chat.Template):
            template(row, tokens, part.text)
        else:
            learn(row, tokens.encode(part.text))


def answer_turn(
    row: Row, tokens: Tokens, question: Question, scene: Scene | None
) -> None:
    written = scene.text if isinstance(scene, scenes.Writing) else ""
    # No answer contains a line break, so without writing all of it comes before.
    before, found, after = question.answer.partition(written or "\n")
    if before:
        learn(row, tokens.encode(before), 1.0)
    if found:
        weight = 1.0 if before else READ_WEIGHT
        learn(row, tokens.spell(found), weight)
    if after:
        learn(row, tokens.encode(after), 1.0)
    learn(row, (tokens.end,), 1.0)
    learn(row, tokens.encode("\n"))


def learn(row: Row, ids: tuple[int, ...], weight: float = 0.0) -> None:
    """Appends text whose tokens are targets with this `weight`."""
    row.ids += ids
    row.labels += ids if weight else [IGNORED] * len(ids)
    row.weights += [weight] * len(ids)
    at = np.arange(row.position, row.position + len(ids), dtype=np.int32)
    row.positions.append(np.stack([at, at, at]))
    row.position += len(ids)


def template(row: Row, tokens: Tokens, text: str) -> None:
    learn(row, tokens.template(text))


def show(row: Row, tokens: Tokens, seen: VisionInput) -> None:
    n = seen.rows * seen.columns
    row.ids += [tokens.image] * n
    row.labels += [IGNORED] * n
    row.weights += [0.0] * n
    row.positions.append(picture_positions(row.position, seen.rows, seen.columns)[:3])
    row.position += picture_advance(seen.rows, seen.columns)
    row.pictures.append(seen)

"""Boxes: where an object of a picture is, asked in words, answered in Qwen3-VL's JSON.

The form is that of Qwen's cookbook "2d grounding": a fenced list of boxes, in
thousandths of the picture's width and height.
"""

from __future__ import annotations

from random import Random
from typing import Final

from edge.qwen3vl.grounding import SCALE
from edge.qwen3vl.grounding_reader import located
from training.draw import Drawn
from training.questions import PHRASES, Language, Question, absent_kind
from training.scenes import Shapes

Box = tuple[int, int, int, int]  # left, top, right, bottom

MOST: Final = 2  # boxes of one answer, which are about 50 tokens each

# Not in `Phrases`: their words would become tokens, and the vocabulary stays as it is.
LOCATE: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        "Locate {it}.",
        "Locate {it}",
        "Locate {it} in the picture.",
        "Find {it}.",
        "Find {it} in the image.",
        "Detect {it}.",
        "Point to {it}.",
        "Draw a box around {it}.",
        "Locate {it} and output its bbox coordinates in JSON format.",
        "Locate {it} in the image, report bbox coordinates in JSON format.",
    ),
    "zh": (
        "指出{it}",
        "指出{it}。",
        "请指出图中的{it}。",
        "框出{it}",
        "请框出{it}。",
        "定位{it}",
        "找出{it}的位置。",
        "定位图中的{it}，以JSON格式输出坐标。",
    ),
}
# The prompts of the task `locate` (`edge.tasks`): whatever belongs to the words.
ALL_OF: Final[dict[Language, str]] = {
    "en": "Locate every instance that belongs to the following categories: "
    '"{it}". Report bbox coordinates in JSON format.',
    "zh": '检测图中所有"{it}"，并以JSON格式输出其bbox坐标。',
}
EVERY: Final[dict[Language, str]] = {"en": "every {it}", "zh": "所有{it}"}


def boxes_of(drawn: Drawn) -> tuple[Box, ...]:
    """The box of each object, in the order of the scene."""
    width, height = drawn.things.size
    found = []
    for n in range(1, len(drawn.centres) + 1):
        alone = drawn.things.point([255 * (value == n) for value in range(256)])
        left, top, right, bottom = alone.getbbox() or (0, 0, 0, 0)
        x1, x2 = (round(SCALE * x / width) for x in (left, right))
        y1, y2 = (round(SCALE * y / height) for y in (top, bottom))
        found.append((x1, y1, x2, y2))
    return tuple(found)


def locate(
    rng: Random, scene: Shapes, boxes: tuple[Box, ...], language: Language
) -> Question:
    """Asks for an object, or all of a kind or shape, or sometimes for what is not
    there."""
    kind = rng.choice(scene.kinds) if rng.random() < 0.88 else absent_kind(rng, scene)
    colour = None if rng.random() < 0.2 and kind in scene.kinds else kind.colour
    placed = zip(scene.objects, boxes, strict=True)
    found = [
        box
        for thing, box in placed
        if thing.kind.shape == kind.shape and colour in (None, thing.kind.colour)
    ]
    if len(found) > MOST:
        return locate(rng, scene, boxes, language)
    the = PHRASES[language].the(colour, kind.shape)
    if language == "zh" and rng.random() < 0.5:
        the = the.replace("的", "")
    label = the.removeprefix("the ")
    text = rng.choice(LOCATE[language])
    if rng.random() < 0.2:
        text, the = ALL_OF[language], label
    elif len(found) > 1 or rng.random() < 0.1:
        the = EVERY[language].format(it=label)
    question = text.format(it=the)
    return Question("locate", language, question, answer(sorted(found), label))


def answer(boxes: list[Box], label: str) -> str:
    """As Qwen3-VL writes it."""
    if not boxes:
        return "```json\n[]\n```"
    listed = ",\n".join(
        f'\t{{"bbox_2d": {list(box)}, "label": "{label}"}}' for box in boxes
    )
    return f"```json\n[\n{listed}\n]\n```"


def boxes_in(text: str) -> list[Box]:
    """The boxes of an answer."""
    boxes = [one.numbers for one in located(text) if len(one.numbers) == 4]
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in boxes]


def overlap(first: Box, second: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    areas = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (first, second))
    return common / (areas - common) if areas > common else 0.0

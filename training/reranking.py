"""Questions of a reranker: does a document meet a query?

The prompt is that of Qwen3-VL-Reranker (`edge.qwen3vl.rerank`). Documents are pictures,
or texts that describe one.
"""

from __future__ import annotations

from random import Random
from typing import Final

from edge.qwen3vl.rerank import (
    DOCUMENT,
    INSTRUCTION,
    NO,
    SYSTEM,
    YES,
    before_query,
)
from edge.request import Message, PictureRef
from training.questions import PHRASES, Language, Question, absent_kind, description
from training.scenes import COLOURS, SHAPES, Shapes

OTHER_INSTRUCTIONS: Final = (
    "Find the picture that shows what the query names.",
    "Retrieve images that match the text.",
    "找出符合描述的图片。",
)


def query(rng: Random, scene: Shapes, language: Language) -> Question:
    """A query that `scene` meets, or one that it narrowly misses."""
    relevant = rng.random() < 0.5
    kind = rng.choice(scene.kinds) if relevant else absent_kind(rng, scene)
    say = PHRASES[language]
    style = rng.random()
    if style < 0.1:  # any shape of a colour
        seen = {thing.kind.colour for thing in scene.objects}
        colours = sorted(seen if relevant else set(COLOURS) - seen)
        text = say.the(rng.choice(colours), None)
        text = text.replace("the ", "").replace(" one", " shape")
    elif style < 0.2:  # a shape of any colour
        seen = {thing.kind.shape for thing in scene.objects}
        shape = rng.choice(sorted(seen if relevant else set(SHAPES) - seen))
        text = say.a_shape(shape).rstrip(".。")
    else:
        text = say.name(kind) if rng.random() < 0.7 else say.a(kind).rstrip(".。")
    if style > 0.8 and language == "en":
        text = text.split(" ", 1)[1]  # without the article
    if style > 0.8 and language == "zh":
        text = text.replace("的", "")
    return Question("rerank", language, text, YES if relevant else NO)


def document(rng: Random, scene: Shapes) -> str:
    """A text that describes `scene`."""
    language: Language = rng.choice(("en", "zh"))
    return description(scene, PHRASES[language])


def instruction(rng: Random) -> str:
    """Mostly the published one."""
    return INSTRUCTION if rng.random() < 0.8 else rng.choice(OTHER_INSTRUCTIONS)


def messages(
    query: str, document: str | PictureRef, instruction: str = INSTRUCTION
) -> tuple[Message, ...]:
    """The prompt for one document."""
    before = f"{before_query(instruction)}{query}{DOCUMENT}"
    return Message("system", (SYSTEM,)), Message("user", (before, document))

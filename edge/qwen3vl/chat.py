"""Messages to prompt parts, in the ChatML form that Qwen3-VL was trained on.

Template text and user text stay apart all the way to the tokenizer: only the template
may become control tokens, so a user can write `<|im_end|>` and it stays text. There is
no placeholder for a picture in any text, so none can be forged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.request import Message, PictureRef


@dataclass(frozen=True)
class Template:
    """Text of ours: names of control tokens in it count."""

    text: str


@dataclass(frozen=True)
class UserText:
    """Text of somebody else's: nothing in it counts."""

    text: str


Part = Template | UserText | PictureRef


# After the last message: where the assistant's next words begin.
OPENING = Template("<|im_start|>assistant\n")


def render_message(message: Message) -> Iterator[Part]:
    """One message of the prompt."""
    yield Template(f"<|im_start|>{message.role}\n")
    for part in message.content:
        if isinstance(part, PictureRef):
            yield Template("<|vision_start|>")
            yield part
            yield Template("<|vision_end|>")
        else:
            yield UserText(part)
    yield Template("<|im_end|>\n")


def render(messages: Sequence[Message]) -> Iterator[Part]:
    """The whole prompt, up to where the assistant's next words begin."""
    for message in messages:
        yield from render_message(message)
    yield OPENING

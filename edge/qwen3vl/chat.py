"""Messages to prompt parts, in the ChatML form that Qwen3-VL was trained on.

Template text and user text stay separate up to the tokenizer: only the template may
become control tokens, so `<|im_end|>` from a user stays text. No text holds a
placeholder for a picture, so none can be forged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.request import Message, PictureRef


@dataclass(frozen=True)
class Template:
    """Text of the template: names of control tokens in it become control tokens."""

    text: str


@dataclass(frozen=True)
class UserText:
    """Text from a client: never becomes control tokens."""

    text: str


Part = Template | UserText | PictureRef


# behind the last message: the answer follows
OPENING = Template("<|im_start|>assistant\n")
# behind each message, unless the answer goes on with the last one
CLOSING = Template("<|im_end|>\n")


def render_message(message: Message) -> Iterator[Part]:
    """One message of the prompt; what calls gave comes from the user."""
    role = "user" if message.role == "tool" else message.role
    yield Template(f"<|im_start|>{role}\n")
    for part in message.content:
        if isinstance(part, PictureRef):
            yield Template("<|vision_start|>")
            yield part
            yield Template("<|vision_end|>")
        else:
            yield UserText(part)
    yield CLOSING


def render(messages: Sequence[Message]) -> Iterator[Part]:
    """The whole prompt, up to the beginning of the answer."""
    for message in messages:
        yield from render_message(message)
    yield OPENING

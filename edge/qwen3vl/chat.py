"""Messages to prompt parts, in the ChatML form that Qwen3-VL was trained on.

Control tokens and text stay separate up to the tokenizer: only the template names
control tokens, so `<|im_end|>` from a user stays text. No text holds a placeholder for
a picture, so none can be forged. All text between two control tokens is one part, as
Qwen's tokenizer sees it: a line break before a text that begins with one is one token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.qwen3vl.thoughts import without_thoughts
from edge.request import Message, PictureRef


@dataclass(frozen=True)
class Template:
    """Text of the template: names of control tokens in it become control tokens."""

    text: str


@dataclass(frozen=True)
class Text:
    """A role, or text from a client: never becomes control tokens."""

    text: str


Part = Template | Text | PictureRef


def pad(picture: PictureRef) -> str:
    """The name of the control token that stands for each of its image tokens."""
    return "<|video_pad|>" if picture.is_pair else "<|image_pad|>"


# behind the last message: the answer follows
OPENING = Template("<|im_start|>assistant\n")
# behind each message, unless the answer goes on with the last one
CLOSING = Template("<|im_end|>\n")


def render_message(message: Message) -> Iterator[Part]:
    """One message of the prompt; what calls gave comes from the user, and a raw text
    from nobody."""
    text = ""
    if message.role != "raw":
        role = "user" if message.role == "tool" else message.role
        yield Template("<|im_start|>")
        text = f"{role}\n"
    for part in _shown(message):
        if isinstance(part, str):
            text += part
            continue
        yield from _text(text)
        yield from (Template("<|vision_start|>"), part, Template("<|vision_end|>"))
        text = ""
    yield from _text(text)
    yield CLOSING


def _text(text: str) -> Iterator[Text]:
    """In the normal form of Qwen's tokenizer."""
    if text:
        yield Text(unicodedata.normalize("NFC", text))


def _shown(message: Message) -> Sequence[str | PictureRef]:
    """The content, without the thoughts of an earlier answer."""
    first, *others = message.content or ("",)
    if message.role != "assistant" or not isinstance(first, str):
        return message.content
    return [without_thoughts(first), *others]


def render(messages: Sequence[Message]) -> Iterator[Part]:
    """The whole prompt, up to the beginning of the answer."""
    for message in messages:
        yield from render_message(message)
    yield OPENING

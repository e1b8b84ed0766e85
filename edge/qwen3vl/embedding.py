"""How Qwen3-VL embeds a text or a picture: the state of the prompt's last token.

Source: Qwen3-VL-Embedding, `src/models/qwen3_vl_embedding.py`. The prompt is a system
message with an instruction, and the input as a message of the user. An embedding is
stored and sent as base64 of little-endian float32.
"""

from __future__ import annotations

import base64
import sys
import unicodedata
from array import array
from collections.abc import Iterable
from typing import Final

INSTRUCTION: Final = "Represent the user's input."
EMPTY: Final = "NULL"  # in place of an input without text and picture


def as_sentence(instruction: str) -> str:
    """The instruction, with a full stop where it ends without a mark."""
    instruction = instruction.strip() or INSTRUCTION
    is_complete = unicodedata.category(instruction[-1]).startswith("P")
    return instruction if is_complete else f"{instruction}."


def pack(values: Iterable[float]) -> str:
    """A vector as base64; its length becomes 1."""
    return base64.b64encode(_swapped(_normalised(values)).tobytes()).decode()


def unpack(packed: str) -> list[float]:
    """What was packed."""
    values = array("f")
    values.frombytes(base64.b64decode(packed))
    return _swapped(values).tolist()


def shortened(packed: str, n: int) -> str:
    """The first `n` dimensions, of length 1 again: the model was trained so that they
    are an embedding too (Matryoshka)."""
    return pack(unpack(packed)[:n])


def _normalised(values: Iterable[float]) -> array[float]:
    vector = list(values)
    length = sum(value * value for value in vector) ** 0.5
    return array("f", (value / (length or 1.0) for value in vector))


def _swapped(values: array[float]) -> array[float]:
    """In the other byte order where this machine is big-endian."""
    if sys.byteorder == "big":
        values.byteswap()
    return values

"""What every script is given: the server, pictures in the working folder, and forms of
an answer. Only the standard library: each environment runs it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Literal, get_args

SERVER = os.environ["EDGE_SERVER"]
BASE_URL = f"{SERVER}/v1"
CIRCLE, SQUARE, TRIANGLE = "red-circle.jpg", "blue-square.png", "green-triangle.png"
WHAT = "What is in this picture?"
# Each picture, and the words of a right answer.
RIGHT = {
    CIRCLE: ("red", "circle"),
    SQUARE: ("blue", "square"),
    TRIANGLE: ("green", "triangle"),
}


# Sentences that the bundled model can say inside JSON.
Drawing = Literal["A red circle.", "A blue square.", "A green triangle."]
SENTENCES = list(get_args(Drawing))


def read(picture: str) -> bytes:
    return Path(picture).read_bytes()


def mime(picture: str) -> str:
    return "image/png" if picture.endswith("png") else "image/jpeg"


def encoded(picture: str) -> str:
    return base64.b64encode(read(picture)).decode()


def data_url(picture: str) -> str:
    return f"data:{mime(picture)};base64,{encoded(picture)}"


def check(answer: str | None, picture: str) -> None:
    """Raises AssertionError for a wrong answer about a picture."""
    assert answer and all(w in answer.lower() for w in RIGHT[picture]), repr(answer)

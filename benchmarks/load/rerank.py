"""The standard question of a reranker: one query, four texts and four drawn pictures.

Field report D scores a query against texts and pictures. The body is that of
/v1/rerank (Cohere, Jina), with pictures as Edge-VL and vLLM take them.
"""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

ROUTE = "rerank"  # behind /v1/
QUERY = "a red circle"
TEXTS = (
    "A red circle on white paper.",
    "A blue square.",
    "The train to Ghent leaves at noon.",
    "三角形是绿色的。",
)
COLOURS = ("red", "blue", "green", "yellow")
SIDE = 224  # pixels of a picture: 49 image tokens
STANDARD = "standard"  # the name of the pictures that `edge monitor` sends


def rerank_body(
    name: str, model: str = "", fields: Mapping[str, Any] | None = None
) -> bytes:
    """The body of a request whose pictures are those of `name`, with more `fields`."""
    pictures = [{"image": _picture(name, colour)} for colour in COLOURS]
    body: dict[str, Any] = {"query": QUERY, "documents": [*TEXTS, *pictures]}
    if model:
        body["model"] = model
    return json.dumps({**body, **(fields or {})}).encode()


def _picture(name: str, colour: str) -> str:
    """A circle at a place that `name` decides, as a `data:` URL: other names have other
    pictures, which no cache knows."""
    draws = random.Random(f"{name}/{colour}")
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    # one pixel of any colour, since few places differ
    picture.putpixel((0, 0), tuple(draws.randbytes(3)))
    x, y, radius = (draws.randint(low, 2 * low) for low in (60, 60, 30))
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(picture).ellipse(box, colour)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

"""Picture files as clients send them."""

from __future__ import annotations

import base64
from typing import Any

from PIL import Image

from edge.images import Detail
from edge.jobs.fleet import WorkerInfo
from tests.test_images import encode
from ui.question import SentPicture, digest_of

STUB = WorkerInfo("here-1", "stub", "f", "stub", 1)  # does not say what it takes


def png(colour: str = "red", size: int = 64) -> bytes:
    return encode(Image.new("RGB", (size, size), colour), "PNG")


def part(encoded: bytes, **more: str) -> dict[str, Any]:
    """The part of a message that holds a picture."""
    url = "data:image/png;base64," + base64.b64encode(encoded).decode()
    return {"type": "image_url", "image_url": {"url": url} | more}


def sent(encoded: bytes, detail: Detail = "auto") -> SentPicture:
    return SentPicture(digest_of(encoded), lambda: encoded, detail)

"""Pictures: bytes from a stranger in, vetted RGB out.

Decoding happens in a short-lived child process with hard limits on memory and time,
because a decoder bug or a decompression bomb must not reach a server process. The
child is this module run as a script: encoded bytes on stdin, one line of JSON and then
raw RGB on stdout.

From here on a picture is RGB in reading order plus the sha256 of its width, height,
mode and pixels. The size is hashed too: 30x100 and 100x30 may share all their bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from PIL import ExifTags, Image, UnidentifiedImageError

from edge.errors import InvalidPicture
from edge.request import PictureRef

CELL = 32  # pixels on each side of what becomes one token: 2x2 patches of 16
PIXELS_PER_TOKEN = CELL**2
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_SOURCE_PIXELS = 50_000_000  # a 50-megapixel camera; 200 MB as RGBA
MAX_ASPECT_RATIO = 200  # the bound the model's own preprocessing sets
CHILD_MEMORY_BYTES = 1 << 30
CHILD_SECONDS = 10

Detail = Literal["low", "auto", "high"]  # the words of OpenAI's API
DETAILS: tuple[Detail, ...] = ("low", "auto", "high")
_BUDGETS = {"low": 256, "auto": 1024}  # tokens


def budget(detail: Detail, most: int) -> int:
    """Tokens that a picture may get at most, where `most` are allowed: high is all."""
    return min(_BUDGETS.get(detail, most), most)


@dataclass(frozen=True)
class Picture:
    """A vetted picture: `rgb` holds height x width x 3 bytes, row by row."""

    width: int
    height: int
    rgb: bytes

    @cached_property
    def ref(self) -> PictureRef:
        header = f"{self.width}x{self.height} RGB\n".encode()
        sha256 = hashlib.sha256(header + self.rgb).hexdigest()
        return PictureRef(sha256, self.width, self.height)


def vet(encoded: bytes, max_tokens: int) -> Picture:
    """The picture that `encoded` (JPEG, PNG, WebP or GIF) holds, at most
    `max_tokens` x 1024 pixels large. Blocks for as long as the child runs.

    Raises InvalidPicture for anything else, within CHILD_SECONDS + 1.
    """
    command = [sys.executable, "-I", "-m", "edge.images", str(max_tokens)]
    try:
        child = subprocess.run(
            command, input=encoded, capture_output=True, timeout=CHILD_SECONDS + 1
        )
    except subprocess.TimeoutExpired:
        raise InvalidPicture("This picture takes too long to decode.") from None
    header, _, rgb = child.stdout.partition(b"\n")
    if child.returncode != 0 or not header:
        raise InvalidPicture(
            "This picture could not be decoded within the limits on memory and time. "
            "Send a smaller or undamaged one."
        )
    verdict = json.loads(header)
    if "error" in verdict:
        raise InvalidPicture(verdict["error"])
    return Picture(verdict["width"], verdict["height"], rgb)


def normalise(encoded: bytes, max_tokens: int) -> Picture:
    """What `vet` does, in this very process: without any protection."""
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            _check_size(image.width, image.height)
            # JPEG can decode at 1/2, 1/4 or 1/8: ask for what will be kept.
            image.draft("RGB", _fit(image.width, image.height, max_tokens))
            image.load()  # before _turn, which forgives everything
            turn = _turn(image)
            flat = _on_white(_shrink(image, max_tokens))
            if turn is not None:
                flat = flat.transpose(turn)
    except UnidentifiedImageError:
        raise InvalidPicture(
            f"This is not a picture in one of the formats {', '.join(FORMATS)}."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as damage:
        raise InvalidPicture(f"This picture is damaged: {damage}.") from None
    return Picture(*flat.size, flat.tobytes())


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_SOURCE_PIXELS:
        raise InvalidPicture(
            f"This picture has {width} x {height} pixels; "
            f"send at most {MAX_SOURCE_PIXELS:,} in all."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InvalidPicture(
            f"This picture is {width} x {height}: its longer side may be at most "
            f"{MAX_ASPECT_RATIO} times the shorter."
        )


def _fit(width: int, height: int, max_tokens: int) -> tuple[int, int]:
    """The size to keep: the same shape, at most `max_tokens` x 1024 pixels."""
    scale = min(1.0, math.sqrt(max_tokens * PIXELS_PER_TOKEN / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to set the picture upright. Junk in EXIF is no reason to refuse a picture,
    and Pillow meets it with whatever exception comes to pass."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _shrink(image: Image.Image, max_tokens: int) -> Image.Image:
    """The picture as small as it is kept. The first step of all, because each copy of
    50 megapixels takes 200 MB of the child's memory."""
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip to white
        image = image.point(lambda grey: grey * (1 / 256)).convert("L")
    elif image.mode in ("1", "P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    size = _fit(image.width, image.height, max_tokens)
    return image.resize(size, Image.Resampling.BICUBIC)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(page, layer).convert("RGB")


def _serve_one() -> None:
    """The child: read a picture, write the verdict, end."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CHILD_SECONDS,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # _check_size is stricter and refuses, not warns
    try:
        picture = normalise(sys.stdin.buffer.read(), int(sys.argv[1]))
        verdict: dict[str, object] = {"width": picture.width, "height": picture.height}
        rgb = picture.rgb
    except InvalidPicture as refusal:
        verdict, rgb = {"error": refusal.message}, b""
    sys.stdout.buffer.write(json.dumps(verdict).encode() + b"\n" + rgb)


if __name__ == "__main__":
    _serve_one()

"""Draws the boxes and points of an answer on the picture that was asked about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from edge.errors import SetupError
from edge.images import Picture
from edge.marks import Mark

# Those of the page: apart for colour-blind people too, and dark enough for white text.
COLOURS: Final = ("#c25400", "#0072b2", "#007f5b", "#b0437f", "#856a00", "#5d4fb0")
LAST_GLYPH: Final = "\u024f"  # of Pillow's own font: Latin letters


def check_target(path: Path) -> None:
    """Raises SetupError where `save` cannot write."""
    if path.is_dir():
        raise SetupError(f"{path} is a folder: name a file, as {path / 'boxes.png'}.")
    if not path.parent.is_dir():
        raise SetupError(f"There is no folder {path.parent} for {path.name}.")


def save(images: Sequence[Image.Image], path: Path) -> None:
    """Writes PNGs: several get numbers behind the name. Raises SetupError."""
    for n, image in enumerate(images, 1):
        name = f"{path.stem}-{n}{path.suffix}" if len(images) > 1 else path.name
        try:
            image.save(path.with_name(name), "PNG")
        except OSError as error:
            raise SetupError(f"{path} cannot be written: {error.strerror}.") from None


def annotated(pictures: Sequence[Picture], marks: Sequence[Mark]) -> list[Image.Image]:
    """The pictures with `marks`, one colour for each label. A label in letters that
    Pillow's font lacks is its number."""
    return [
        _annotated(picture, [mark for mark in marks if mark.picture == n])
        for n, picture in enumerate(pictures)
    ]


def _annotated(picture: Picture, marks: Sequence[Mark]) -> Image.Image:
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    pen, unit = ImageDraw.Draw(image), max(2, min(image.size) // 200)
    font = ImageFont.load_default(8 * unit)
    labels: dict[str, int] = {}
    for mark in marks:
        n = labels.setdefault(mark.label, len(labels))
        colour = COLOURS[n % len(COLOURS)]
        xs = [x * picture.width / 1000 for x in mark.thousandths[::2]]
        ys = [y * picture.height / 1000 for y in mark.thousandths[1::2]]
        if mark.is_box:
            pen.rectangle((xs[0], ys[0], xs[1], ys[1]), outline=colour, width=unit)
        else:
            pen.circle((xs[0], ys[0]), 3 * unit, fill=colour, outline="white")
        is_shown = all(letter <= LAST_GLYPH for letter in mark.label)
        text = mark.label if is_shown and mark.label else str(n + 1)
        _, _, right, bottom = pen.textbbox((0, 0), text, font)
        x = max(0, min(xs[0], picture.width - right - 2 * unit))
        y = max(0, ys[0] - bottom - 2 * unit)
        box = x, y, x + right + 2 * unit, y + bottom + 2 * unit
        pen.rectangle(box, fill=colour)
        pen.text((x + unit, y + unit), text, "white", font)
    return image

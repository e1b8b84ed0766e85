"""Boxes and points that an answer names on a picture, and the file that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# EXIF's numbers: how the pixels of a file are turned or mirrored to be upright.
Orientation = Literal[1, 2, 3, 4, 5, 6, 7, 8]


@dataclass(frozen=True)
class SourceFile:
    """Size in px of the pixels that a file stores, and their EXIF orientation."""

    width: int
    height: int
    orientation: Orientation = 1


@dataclass(frozen=True)
class Mark:
    """A box (left, top, right, bottom) or a point (x, y) on a picture of a question.

    `picture` counts all pictures of the question from 0, frames of videos left out.
    `thousandths` are of the width and the height of the upright picture, as the model
    wrote them; `pixels` are those that the file stores, as it was sent.
    """

    picture: int
    label: str
    thousandths: tuple[float, ...]
    pixels: tuple[int, ...]

    @property
    def is_box(self) -> bool:
        return len(self.thousandths) == 4

    def described(self) -> dict[str, Any]:
        """As clients are told: `bbox_2d` or `point_2d` as the model wrote them, and
        `box_px` or `point_px`."""
        return {
            "picture": self.picture,
            "label": self.label,
            "bbox_2d" if self.is_box else "point_2d": self.thousandths,
            "box_px" if self.is_box else "point_px": self.pixels,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mark:
        tuples = {name: tuple(data[name]) for name in ("thousandths", "pixels")}
        return cls(data["picture"], data["label"], **tuples)

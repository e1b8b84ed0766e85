"""A decoded picture, and how many tokens one may get.

It is RGB in reading order plus the sha256 of its width, height, mode and pixels. The
size is hashed too: 30x100 and 100x30 may share all their bytes. Two frames of a video
make one picture, a pair, because Qwen3-VL embeds two frames at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from edge.marks import SourceFile
from edge.request import PictureRef

TOKEN_PX = 32  # pixels on each side of one image token: 2x2 patches of 16
PIXELS_PER_TOKEN = TOKEN_PX**2

Detail = Literal["low", "auto", "high"]  # the words of OpenAI's API
DETAILS: tuple[Detail, ...] = ("low", "auto", "high")
LOW_TOKENS, AUTO_TOKENS = 256, 1024
# Below this Qwen3-VL places boxes and reads small text less accurately.
ACCURATE_TOKENS = 1024


def budget(detail: Detail, most: int) -> int:
    """The most tokens of a picture, where `most` are allowed: `high` means all."""
    budgets = {"low": LOW_TOKENS, "auto": AUTO_TOKENS, "high": most}
    return min(budgets[detail], most)


def floor(detail: Detail, most: int) -> int:
    """The tokens to which a smaller picture is enlarged; 0: it keeps its size."""
    return min(ACCURATE_TOKENS, most) if detail == "high" else 0


@dataclass(frozen=True)
class Picture:
    """A decoded picture: `rgb` holds n_frames x height x width x 3 bytes, frame by
    frame and row by row; a pair has two frames. One that `is_first` is the first of
    several frames or pages of its file. A page of a document may have its `text`;
    `source` tells of the pixels in the file, unless they are the same. Its `ref`, with
    the sha256, is computed once, without a copy of the pixels."""

    width: int
    height: int
    rgb: bytes
    is_first: bool = False
    text: str = ""
    source: SourceFile | None = field(default=None, compare=False)
    n_frames: int = 1

    @cached_property
    def ref(self) -> PictureRef:
        frames = "" if self.n_frames == 1 else f" {self.n_frames} frames"
        named = f"{self.width}x{self.height} RGB{frames}\n"
        sha256 = hashlib.sha256(named.encode())
        sha256.update(self.rgb)
        return PictureRef(
            sha256.hexdigest(),
            self.width,
            self.height,
            self.is_first,
            self.source,
            self.n_frames,
        )

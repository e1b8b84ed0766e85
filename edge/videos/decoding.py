"""What a decoding child makes of a video, checked."""

from __future__ import annotations

import math
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from edge.errors import MAX_MESSAGE, InvalidPicture
from edge.images import PIXELS_PER_TOKEN, Picture
from edge.images.jail import Jail
from edge.videos.clip import Clip
from edge.videos.kind import kind_of
from edge.videos.limits import MAX_FRAMES, VIDEO
from edge.videos.order import VideoOrder

_N_FRAMES = 2  # of a pair


class VideoDecoding(Jail):
    """One video; see `order.VideoOrder`. Raises InvalidPicture for what is none, or
    cannot be read here."""

    def __init__(self, encoded: bytes, order: VideoOrder) -> None:
        if not order.sizes:
            _check_kind(encoded)
        self._most_pixels = order.budget_tokens * _N_FRAMES * PIXELS_PER_TOKEN
        super().__init__(
            encoded,
            order.to_line(),
            3 * self._most_pixels,
            VIDEO,
            module="edge.videos.child",
        )

    def run(self) -> Clip:
        """Raises as `Jail.output`."""
        result, rgb = self.output()
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            return self._checked(result, rgb)
        raise self.fault("returned no video")

    def _checked(self, result: dict[str, Any], rgb: bytes) -> Clip:
        if "error" in result:
            raise InvalidPicture(str(result["error"])[:MAX_MESSAGE])
        width, height = int(result["width"]), int(result["height"])
        times = tuple(map(float, result["times"]))
        seconds = float(result["seconds"])
        n = len(times)
        if not 2 <= n <= MAX_FRAMES or n % _N_FRAMES or min(width, height) < 1:
            raise ValueError("neither frames nor a size that were asked for")
        if not all(map(math.isfinite, (*times, seconds))):
            raise ValueError("times that are none")
        n_bytes = 3 * width * height
        if n * width * height > self._most_pixels or len(rgb) != n * n_bytes:
            raise ValueError("pixels of another size")
        step = n_bytes * _N_FRAMES
        pairs = tuple(
            Picture(width, height, rgb[at : at + step], n_frames=_N_FRAMES)
            for at in range(0, len(rgb), step)
        )
        for pair in pairs:
            _ = pair.ref  # hashed here: the caller's thread may be an event loop
        return Clip(pairs, times, seconds)


def _check_kind(encoded: bytes) -> None:
    kind = kind_of(encoded)
    if kind is None:
        raise InvalidPicture(
            "This is not a video in one of the formats MP4, QuickTime, WebM, Matroska, "
            "GIF and WebP."
        )
    if kind in ("mp4", "matroska") and find_spec("av") is None:
        raise InvalidPicture(
            "This server reads no MP4 or WebM: its operator can install "
            "edge-vl[video]. Send a GIF, or pictures of the video in a part of type "
            '"video".'
        )

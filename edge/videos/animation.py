"""Frames of GIF and WebP files, and of lists of pictures, by Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from functools import partial

from PIL import Image

from edge.errors import InvalidPicture
from edge.images import Picture, normalise
from edge.images.decode import on_page
from edge.videos.limits import MAX_ANIMATION_PIXELS, MAX_SOURCE_FRAMES
from edge.videos.source import Frame, check_frame, check_length

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, MemoryError)
# Browsers show a frame that is shorter than this for a tenth of a second.
SHORTEST_S, USUAL_S = 0.02, 0.1


class AnimationSource:
    """A GIF or WebP. It is decoded twice: how long a frame is shown stands in it.
    Raises InvalidPicture."""

    def __init__(self, encoded: bytes, name: str) -> None:
        self._encoded, self._name = encoded, name
        self.seconds, times = 0.0, []
        for _, image in self._decoded():
            times.append(self.seconds)
            duration = float(image.info.get("duration") or 0) / 1000
            is_shown = math.isfinite(duration) and duration >= SHORTEST_S
            self.seconds += duration if is_shown else USUAL_S
            check_length(self.seconds)
        self.times: Sequence[float] = times

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        for number, image in self._decoded(max(numbers) + 1):
            if number in numbers:
                flat = on_page(image)
                yield number, Frame(*flat.size, partial(_resized, flat))

    def _decoded(
        self, most: int = MAX_SOURCE_FRAMES
    ) -> Iterator[tuple[int, Image.Image]]:
        try:
            file = io.BytesIO(self._encoded)
            with Image.open(file, formats=(self._name,)) as image:
                check_frame(*image.size)
                n_frames = getattr(image, "n_frames", 1)
                n_pixels = n_frames * image.width * image.height
                if n_frames > MAX_SOURCE_FRAMES or n_pixels > MAX_ANIMATION_PIXELS:
                    raise InvalidPicture(
                        f"This {self._name} has {n_frames} frames of {image.width} x "
                        f"{image.height} pixels, too many to read. Send a shorter or "
                        "smaller one, or a video."
                    )
                for number in range(min(n_frames, most)):
                    image.seek(number)
                    image.load()
                    yield number, image
        except DAMAGE as damage:
            raise InvalidPicture(f"This {self._name} is damaged: {damage}.") from None


class ListSource:
    """Pictures, each a file in `encoded`; see `order.VideoOrder`."""

    def __init__(
        self,
        encoded: bytes,
        sizes: Sequence[int],
        times: Sequence[float],
        fps: float,
        most_tokens: int,
    ) -> None:
        self._files, at = [], 0
        for size in sizes:
            self._files.append(encoded[at : at + size])
            at += size
        self.times: Sequence[float] = times or [i / fps for i in range(len(sizes))]
        self.seconds = self.times[-1] + 1 / fps
        self._most_tokens = most_tokens

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        for number in numbers:
            picture = normalise(self._files[number], self._most_tokens)
            yield number, _frame(picture)


def _frame(picture: Picture) -> Frame:
    size = picture.width, picture.height
    image = Image.frombuffer("RGB", size, picture.rgb)
    return Frame(*size, partial(_resized, image))


def _resized(image: Image.Image, width: int, height: int) -> bytes:
    return image.resize((width, height), Image.Resampling.BICUBIC).tobytes()

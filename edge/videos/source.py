"""What a video is to the child that decodes it, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.errors import InvalidPicture
from edge.images import MAX_ASPECT_RATIO
from edge.videos.limits import MAX_FRAME_PIXELS, MAX_SECONDS


@dataclass(frozen=True)
class Frame:
    """A decoded frame: the size of it upright, in px, and its RGB bytes, row by row, at
    any width and height."""

    width: int
    height: int
    resized: Callable[[int, int], bytes]


class Source(Protocol):
    """`times` are the seconds at which the frames are shown, rising from 0, at least
    one; `seconds` is the length."""

    times: Sequence[float]
    seconds: float

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        """The frames with these `numbers`, which rise, each decoded when it is its turn
        and used before the next. Damaged ones may be missing. Raises InvalidPicture."""
        ...


def check_frame(width: int, height: int) -> None:
    """Raises InvalidPicture for frames that are larger than 4K, or have no area."""
    if min(width, height) < 1:
        raise InvalidPicture("This video has frames without a size.")
    if width * height > MAX_FRAME_PIXELS:
        raise InvalidPicture(
            f"This video has frames of {width} x {height} pixels; send at most "
            f"{MAX_FRAME_PIXELS:,} in each."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InvalidPicture(
            f"This video is {width} x {height}: its longer side may be at most "
            f"{MAX_ASPECT_RATIO} times the shorter."
        )


def check_length(seconds: float) -> None:
    """Raises InvalidPicture for a video that is too long."""
    if seconds > MAX_SECONDS:
        length = f"{seconds / 60:,.0f} minutes"
        if seconds < 120 + MAX_SECONDS:
            length = f"{seconds:.0f} seconds"
        raise InvalidPicture(
            f"The video has {length}; at most {MAX_SECONDS} seconds are read. Cut it, "
            "or ask about pictures of it."
        )

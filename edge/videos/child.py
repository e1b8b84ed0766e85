"""The child that decodes one video; `edge.images.child` decodes pictures.

The result is a line of JSON with the size and the seconds of the frames, then their RGB
pixels, one frame after the other.
"""

from __future__ import annotations

from bisect import bisect_right
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from edge.errors import InvalidPicture
from edge.images import TOKEN_PX
from edge.images.child import run
from edge.qwen3vl.video import frame_grid, sample_times
from edge.videos.animation import AnimationSource, ListSource
from edge.videos.kind import kind_of
from edge.videos.limits import most_frames
from edge.videos.order import VideoOrder
from edge.videos.source import Source

# PyAV is an extra, and no module can be imported later.
_container: Any = import_module("edge.videos.container") if find_spec("av") else None
_A_MOMENT = 0.001  # seconds of a video of one frame that says no more
_ROUNDING = 0.005  # seconds: some formats round to milliseconds


def _obey(line: bytes, encoded: bytes) -> tuple[dict[str, object], bytes]:
    """The fields of the result, and pixels. Raises InvalidPicture."""
    order = VideoOrder.from_line(line)
    source = _source(order, encoded)
    numbers = _chosen(source, order)
    found: dict[int, bytes] = {}
    size = (0, 0)
    for number, frame in source.frames(sorted(set(numbers))):
        if not found:
            most = min(order.budget_tokens, len(numbers) // 2 * order.pair_tokens)
            size = frame.width, frame.height
            rows, columns = frame_grid(*size, len(numbers), most)
            size = columns * TOKEN_PX, rows * TOKEN_PX
        found[number] = frame.resized(*size)
    if not found:
        raise InvalidPicture("This video is damaged: none of its frames can be read.")
    # in the place of a damaged frame is the one before it
    there = sorted(found)
    kept = [there[max(0, bisect_right(there, number) - 1)] for number in numbers]
    times = [source.times[number] for number in kept]
    told = {"width": size[0], "height": size[1], "times": times}
    rgb = b"".join(found[number] for number in kept)
    return told | {"seconds": source.seconds}, rgb


def _source(order: VideoOrder, encoded: bytes) -> Source:
    if order.sizes:
        lists = order.sizes, order.times, order.fps
        return ListSource(encoded, *lists, order.budget_tokens)
    kind = kind_of(encoded)
    if kind in ("GIF", "WEBP"):
        return AnimationSource(encoded, kind)
    source: Source = _container.ContainerSource(encoded, kind)
    return source


def _chosen(source: Source, order: VideoOrder) -> list[int]:
    """The numbers of the frames to show, an even number of them."""
    if order.sizes:
        every = [*range(len(order.sizes))]
        return every + every[-1:] * (len(every) % 2)
    seconds = max(source.seconds, _A_MOMENT)
    most = most_frames(order.budget_tokens)
    wanted = sample_times(seconds, len(source.times), order.fps, most)
    # the frame that is shown at each time
    return [max(0, bisect_right(source.times, t + _ROUNDING) - 1) for t in wanted]


if __name__ == "__main__":
    run(_obey)

"""A decoded video: pairs of frames, and what a prompt says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.images import Picture
from edge.qwen3vl.video import second_labels
from edge.request import PictureRef


@dataclass(frozen=True)
class ClipRef:
    """A video as a prompt shows it: the pairs of its frames, and the text before
    each."""

    labels: tuple[str, ...]
    pairs: tuple[PictureRef, ...]

    @property
    def content(self) -> Sequence[str | PictureRef]:
        content: list[str | PictureRef] = []
        for label, pair in zip(self.labels, self.pairs, strict=True):
            content += [label, pair]
        return content


@dataclass(frozen=True)
class Clip:
    """`times` are the seconds of all frames, two of each pair, in a video of
    `seconds`."""

    pairs: tuple[Picture, ...]
    times: tuple[float, ...]
    seconds: float

    @property
    def ref(self) -> ClipRef:
        labels = tuple(second_labels(self.times))
        return ClipRef(labels, tuple(pair.ref for pair in self.pairs))

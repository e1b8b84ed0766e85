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
    each. Its frames come from `seconds` of video."""

    labels: tuple[str, ...]
    pairs: tuple[PictureRef, ...]
    seconds: float

    @property
    def n_frames(self) -> int:
        return sum(pair.n_frames for pair in self.pairs)

    @property
    def n_tokens(self) -> int:
        """Approximate number of image tokens, as that of a picture."""
        return sum(pair.n_tokens for pair in self.pairs)

    @property
    def about(self) -> str:
        return f"{self.n_frames} frames of {self.seconds:.1f} s, {self.n_tokens} tokens"

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
        return ClipRef(labels, tuple(pair.ref for pair in self.pairs), self.seconds)

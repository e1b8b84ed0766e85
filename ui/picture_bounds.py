"""How many tokens a picture may get, and to which size a larger one is resampled. Pure.

A picture is resampled once. One that is too large gets the size of its grid where it is
decoded, so that the worker finds nothing to change; any other keeps its pixels, and the
worker fits it, which may enlarge it: fewer pixels travel than the grid has.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.images import PIXELS_PER_TOKEN, TOKEN_PX, Detail, budget
from edge.images.container import claim_of
from edge.jobs.fleet import WorkerInfo
from edge.qwen3vl.preprocess import grid


@dataclass(frozen=True)
class PictureBounds:
    """At most `most` tokens; `least`, which smaller pictures are enlarged to, is None
    where the worker does not say what its model takes."""

    most: int
    least: int | None

    @classmethod
    def of(cls, detail: Detail, max_tokens: int, served: WorkerInfo) -> PictureBounds:
        """The bounds of this server (`max_tokens`), a client and a model together."""
        most = budget(detail, max_tokens)
        least, largest = served.min_image_tokens, served.max_image_tokens
        if least is None or largest is None:
            return cls(most, None)
        # fewer than the model takes would be enlarged again
        return cls(min(max(min(most, largest), least), max_tokens), least)

    def grid_size(self, encoded: bytes) -> tuple[int, int] | None:
        """Width and height to resample a file to, judged by its header. None: its
        pixels fit, or no grid can be known here that the worker would keep."""
        claim = claim_of(encoded)
        if self.least is None or claim is None:
            return None
        if claim.n_pixels <= self.most * PIXELS_PER_TOKEN:
            return None
        rows, columns = grid(claim.width, claim.height, self.least, self.most)
        width, height = columns * TOKEN_PX, rows * TOKEN_PX
        is_kept = grid(width, height, self.least, self.most) == (rows, columns)
        return (width, height) if is_kept else None

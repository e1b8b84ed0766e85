"""How many tokens a picture may get, and to which size a larger one is resampled. Pure.

A picture is resampled once. One that is too large, or too small for its `detail`, gets
the size of its grid where it is decoded, so that the worker finds nothing to change;
any other keeps its pixels, and the worker fits it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.images import PIXELS_PER_TOKEN, TOKEN_PX, Detail, budget, floor
from edge.images.claim import claim_of
from edge.qwen3vl.preprocess import grid


@dataclass(frozen=True)
class PictureBounds:
    """At most `most` tokens; the worker enlarges smaller pictures to `least`, which is
    None where the model is not known, and the decoder to `floor`."""

    most: int
    least: int | None
    floor: int = 0

    @classmethod
    def of(cls, detail: Detail, least: int, most: int) -> PictureBounds:
        """For a model that takes `least` to `most` tokens."""
        most = max(least, budget(detail, most))
        return cls(most, least, floor(detail, most))

    def grid_size(self, encoded: bytes) -> tuple[int, int] | None:
        """Width and height to resample a file to, judged by its header. None: its
        pixels fit, or no grid can be known here that the worker would keep."""
        claim = claim_of(encoded)
        if self.least is None or claim is None:
            return None
        least, most = self.floor * PIXELS_PER_TOKEN, self.most * PIXELS_PER_TOKEN
        if not claim.n_pixels or least <= claim.n_pixels <= most:
            return None
        least_tokens = max(self.least, self.floor)
        rows, columns = grid(claim.width, claim.height, least_tokens, self.most)
        if rows * columns > self.most:  # enlarged to whole rows and columns
            enlarged = columns * TOKEN_PX, rows * TOKEN_PX
            rows, columns = grid(*enlarged, self.least, self.most)
        width, height = columns * TOKEN_PX, rows * TOKEN_PX
        is_kept = grid(width, height, self.least, self.most) == (rows, columns)
        return (width, height) if is_kept else None

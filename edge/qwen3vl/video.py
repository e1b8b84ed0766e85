"""Which frames of a video Qwen3-VL sees, how large, and the texts before them. Pure.

Two frames make a pair, which is one picture for the language model. Source:
`Qwen3VLVideoProcessor` and `Qwen3VLProcessor` in Hugging Face Transformers, with the
limit of tokens of a pair from `qwen-vl-utils`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.qwen3vl.preprocess import grid

FRAMES_PER_SECOND: Final = 2.0  # as in training
FEWEST_FRAMES: Final = 4
MOST_PAIR_TOKENS: Final = 768


def sample_times(
    seconds: float,
    n_source_frames: int,
    fps: float = FRAMES_PER_SECOND,
    most_frames: int = 768,
) -> list[float]:
    """Seconds of the frames to show, an even number: `fps` for each second, spread over
    all `n_source_frames` of a video of `seconds`, but at least FEWEST_FRAMES of those
    that there are, and at most `most_frames`, which is even. The last one comes twice
    where their number would be odd.

    Raises ValueError when the video has no frame or no length, or none may be shown.
    """
    if seconds <= 0 or n_source_frames < 1 or most_frames < 2:
        raise ValueError("A video has a length and a frame, and a pair two frames.")
    n = min(max(int(seconds * fps), FEWEST_FRAMES), most_frames, n_source_frames)
    # as in Transformers, a half is rounded to the even number
    numbers = np.linspace(0, n_source_frames - 1, n).round()
    times = [float(number) * seconds / n_source_frames for number in numbers]
    return times + times[-1:] * (n % 2)


def second_labels(times: Sequence[float]) -> list[str]:
    """The text before each pair: the mean of the seconds of its two frames."""
    pairs = zip(times[::2], times[1::2], strict=True)
    return [f"<{(first + second) / 2:.1f} seconds>" for first, second in pairs]


def frame_grid(
    width: int, height: int, n_frames: int, budget_tokens: int
) -> tuple[int, int]:
    """Rows and columns of image tokens of each pair, for frames of `width` x `height`
    pixels: those of the frames' own size, as far as all pairs of `n_frames` together
    have at most `budget_tokens`, and each at most MOST_PAIR_TOKENS.

    Raises ValueError when the budget has no token for each pair.
    """
    n_pairs = -(-n_frames // 2)
    most = min(budget_tokens // n_pairs, MOST_PAIR_TOKENS)
    if most < 1:
        raise ValueError(f"{n_pairs} pairs do not fit {budget_tokens} tokens.")
    return grid(width, height, 1, most)

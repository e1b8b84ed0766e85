"""Frames, sizes and texts of videos: those of Transformers 5.23, and within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.qwen3vl.video import (
    FEWEST_FRAMES,
    MOST_PAIR_TOKENS,
    frame_grid,
    sample_times,
    second_labels,
)

# `Qwen3VLVideoProcessor.sample_frames`, with `max_frames` where it is the third number
SAMPLED = {
    (250, 25.0, 768): (
        "0 13 26 39 52 66 79 92 105 118 131 144 157 170 183 197 210 223 236 249",
        "0.3 1.3 2.4 3.4 4.5 5.5 6.5 7.6 8.7 9.7",
    ),
    (30, 30.0, 768): ("0 10 19 29", "0.2 0.8"),
    (90, 29.97, 768): ("0 18 36 53 71 89", "0.3 1.5 2.7"),
    (75, 10.0, 768): (
        "0 5 11 16 21 26 32 37 42 48 53 58 63 69 74",
        "0.2 1.4 2.4 3.5 4.5 5.5 6.6 7.4",
    ),
    (3, 5.0, 768): ("0 1 2", "0.1 0.4"),
    (1, 1.0, 768): ("0", "0.0"),
    (625, 25.0, 12): (
        "0 57 113 170 227 284 340 397 454 511 567 624",
        "1.1 5.7 10.2 14.7 19.3 23.8",
    ),
}


@pytest.mark.parametrize(("video", "expected"), SAMPLED.items())
def test_the_frames_and_texts_of_transformers(video, expected) -> None:
    (n_source_frames, fps, most_frames), (indices, labels) = video, expected
    seconds = n_source_frames / fps
    times = sample_times(seconds, n_source_frames, most_frames=most_frames)
    numbers = [int(index) for index in indices.split()]
    padded = numbers + numbers[-1:] * (len(numbers) % 2)
    assert times == pytest.approx([number / fps for number in padded])
    texts = [f"<{label} seconds>" for label in labels.split()]
    assert second_labels(times) == texts


@given(
    st.floats(0.01, 1e5), st.integers(1, 10**6), st.integers(1, 60).map(lambda n: 2 * n)
)
def test_frames_are_in_order_and_within_the_limit(seconds, n_source, most) -> None:
    times = sample_times(seconds, n_source, most_frames=most)
    assert len(times) % 2 == 0
    assert min(FEWEST_FRAMES, most, n_source) <= len(times) <= most
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < seconds


@pytest.mark.parametrize("video", [(0.0, 5, 2.0, 8), (5.0, 0, 2.0, 8), (5.0, 9, 2, 0)])
def test_a_video_without_frames_is_refused(video) -> None:
    with pytest.raises(ValueError, match="frame"):
        sample_times(*video)


@pytest.mark.parametrize(
    ("width", "height", "n_frames", "budget_tokens", "expected"),
    [  # `smart_resize` of the video processor, the pixels of two frames for each token
        (1920, 1080, 12, 1536, (12, 21)),
        (640, 480, 4, 1024, (15, 20)),
        (640, 480, 24, 1536, (9, 13)),
        (320, 240, 6, 3000, (8, 10)),
        (1080, 1920, 8, 1024, (21, 12)),
        (96, 64, 4, 512, (2, 3)),
        (1280, 720, 32, 2048, (8, 15)),
        (1000, 100, 10, 500, (3, 31)),
        (1921, 1081, 14, 1400, (10, 18)),
    ],
)
def test_the_sizes_of_transformers(
    width, height, n_frames, budget_tokens, expected
) -> None:
    assert frame_grid(width, height, n_frames, budget_tokens) == expected


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.integers(1, 60),
    st.integers(60, 5000),
)
def test_all_pairs_fit_the_budget(width, height, n_frames, budget_tokens) -> None:
    rows, columns = frame_grid(width, height, n_frames, budget_tokens)
    n_pairs = (n_frames + 1) // 2
    assert 1 <= n_pairs * rows * columns <= budget_tokens
    assert rows * columns <= MOST_PAIR_TOKENS


def test_more_pairs_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="5 pairs"):
        frame_grid(640, 480, 10, 4)

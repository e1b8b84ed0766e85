"""Pictures of any size are resized to whole image tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.images import TOKEN_PX, Picture
from edge.qwen3vl.preprocess import fit, frames, grid

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, st.integers(1, 64), st.integers(64, 2048))
def test_never_more_tokens_than_allowed(width, height, low, high) -> None:
    rows, columns = grid(width, height, low, high)
    assert rows >= 1 and columns >= 1
    assert rows * columns <= max(high, low + rows + columns)


@given(st.integers(64, 3000), st.floats(0.34, 3.0))
def test_the_aspect_ratio_is_preserved(width: int, aspect: float) -> None:
    height = round(width / aspect)
    rows, columns = grid(width, height, 16, 1024)
    # Rounding moves each side by less than one cell.
    scale = (rows * columns * TOKEN_PX**2 / (width * height)) ** 0.5
    assert abs(columns * TOKEN_PX - width * scale) < 1.5 * TOKEN_PX
    assert abs(rows * TOKEN_PX - height * scale) < 1.5 * TOKEN_PX


@pytest.mark.parametrize(
    ("width", "height", "cells"),
    [
        (800, 600, (19, 25)),  # 475 tokens, as Qwen3-VL's own processor says
        (256, 256, (8, 8)),
        (1, 1, (8, 8)),  # small ones grow to 64 cells
        (4000, 3000, (27, 36)),
        (100, 4000, (125, 3)),
    ],
)
def test_the_sizes_that_the_model_was_trained_with(width, height, cells) -> None:
    assert grid(width, height, 64, 1024) == cells


def test_a_pair_keeps_its_grid_however_small() -> None:
    assert grid(64, 32, 64, 1024, n_frames=2) == (1, 2)
    rows, columns = grid(6400, 3200, 64, 1024, n_frames=2)
    assert rows * columns <= 1024


def test_both_frames_of_a_pair_are_fitted() -> None:
    black, white = bytes(3 * 40 * 40), bytes([255]) * (3 * 40 * 40)
    fitted = fit(Picture(40, 40, black + white, n_frames=2), 1, 2)
    n_bytes = 3 * 64 * 32
    assert (fitted.width, fitted.height, fitted.n_frames) == (64, 32, 2)
    assert fitted.rgb == bytes(n_bytes) + bytes([255]) * n_bytes
    assert [frame.ref.is_pair for frame in frames(fitted)] == [False, False]


def test_a_fitted_picture_has_its_colours_in_their_places() -> None:
    pixels = np.zeros((90, 200, 3), np.uint8)
    pixels[:, 100:] = 255, 128, 0
    fitted = fit(Picture(200, 90, pixels.tobytes()), 2, 5)
    assert (fitted.width, fitted.height) == (5 * TOKEN_PX, 2 * TOKEN_PX)
    result = np.frombuffer(fitted.rgb, np.uint8).reshape(2 * TOKEN_PX, 5 * TOKEN_PX, 3)
    assert (result[:, :70] == 0).all()
    assert (result[:, 90:] == (255, 128, 0)).all()


def test_a_picture_of_the_right_size_is_not_resized() -> None:
    picture = Picture(64, 32, bytes(64 * 32 * 3))
    assert fit(picture, 1, 2) is picture


def test_thin_lines_survive_shrinking() -> None:
    """Without smoothing, most one-pixel lines would be skipped."""
    pixels = np.full((1024, 1024, 3), 255, np.uint8)
    pixels[:, ::8] = 0
    fitted = fit(Picture(1024, 1024, pixels.tobytes()), 4, 4)
    result = np.frombuffer(fitted.rgb, np.uint8)
    assert 200 < result.mean() < 240
    assert result.std() < 40

"""M-RoPE positions against llama.cpp's, for many shapes of pictures."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from llama_cpp import mtmd_cpp as mtmd

from edge.images import Picture
from edge.llamacpp.model import Model
from edge.llamacpp.vision import MtmdTower
from edge.qwen3vl import preprocess
from edge.qwen3vl.positions import picture_advance, picture_positions


@pytest.fixture(scope="module")
def tower(tiny) -> Iterator[MtmdTower]:
    cells = {"min_tokens": 16, "max_tokens": 1024}
    with closing(MtmdTower(tiny[1], Model(tiny[0]), threads=1, **cells)) as one:
        yield one


@pytest.mark.model
@pytest.mark.parametrize("start", [0, 7, 4000])
@pytest.mark.parametrize(
    "size", [(800, 600), (600, 800), (32, 32), (2000, 40), (1, 1), (333, 777)]
)
def test_positions_equal_the_bindings(tower: MtmdTower, size, start: int) -> None:
    width, height = size
    black = Picture(width, height, bytes(width * height * 3))
    with tower._image_chunk(preprocess.fit(black, *tower.grid(*size))) as chunk:
        image = mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        n = mtmd.mtmd_image_tokens_get_n_tokens(image)
        theirs = [
            mtmd.mtmd_image_tokens_get_decoder_pos(image, start, i) for i in range(n)
        ]
        advance = mtmd.mtmd_input_chunk_get_n_pos(chunk)
    ours = picture_positions(start, *tower.grid(*size))
    assert ours.tolist() == [
        [getattr(p, a) for p in theirs] for a in ("t", "y", "x", "z")
    ]
    assert picture_advance(*tower.grid(*size)) == advance


def test_the_layout_is_that_of_llama_cpp() -> None:
    positions = picture_positions(5, 2, 3)
    assert positions.shape == (4, 6)
    assert positions.dtype == np.int32
    assert positions.flags.c_contiguous
    assert ctypes.sizeof(ctypes.c_int32) == positions.itemsize

"""The pictures of the load generator: new, of the right size, cheap."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.load.pictures import fresh_jpeg


def decoded(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    return picture


@pytest.mark.parametrize("target", [60_000, 120_000, 200_000])
def test_a_picture_has_the_target_size(target: int) -> None:
    for seed in range(5):
        jpeg = fresh_jpeg(random.Random(seed), target_bytes=target)
        assert 0.85 * target < len(jpeg) < 1.15 * target
        assert decoded(jpeg).format == "JPEG"
        assert decoded(jpeg).size == (800, 600)


def test_a_larger_picture_has_more_bytes_in_proportion() -> None:
    jpeg = fresh_jpeg(random.Random(0), 1600, 1200)
    assert decoded(jpeg).size == (1600, 1200)
    assert 0.85 * 480_000 < len(jpeg) < 1.15 * 480_000


def test_each_state_of_the_generator_gives_another_picture() -> None:
    assert fresh_jpeg(random.Random("a")) == fresh_jpeg(random.Random("a"))
    rng = random.Random("a")
    jpegs = [fresh_jpeg(rng, 160, 120) for _ in range(50)]
    assert len(set(jpegs)) == 50


def test_pictures_differ_in_their_pixels() -> None:
    one, other = (
        np.asarray(decoded(fresh_jpeg(random.Random(seed)))) for seed in (1, 2)
    )
    assert (one != other).any(axis=2).mean() > 0.9


def test_grain_does_not_overflow() -> None:
    """An overflow would be a black dot in a bright place: the strongest contrast."""
    picture = decoded(fresh_jpeg(random.Random(4), target_bytes=220_000))
    light = np.asarray(picture.convert("L"), dtype=int)
    assert np.abs(np.diff(light, axis=1)).max() < 220


def test_a_picture_is_cheap() -> None:
    fresh_jpeg(random.Random(0))  # finds the grain
    took_s = []
    for seed in range(10):
        began = time.thread_time()
        fresh_jpeg(random.Random(seed))
        took_s.append(time.thread_time() - began)
    assert min(took_s) < 0.03  # measured: 0.005

"""Expensive steps run once: hashing a file or a body, resampling a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from edge.images import PIXELS_PER_TOKEN, Picture, normalise
from edge.jobs.fleet import WorkerInfo
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.qwen3vl.preprocess import fit, grid
from tests.test_images import encode, exif
from tests.ui.api_harness import ApiHarness
from tests.ui.pictures import part
from ui.decoding import bounds_for

SIDE = 96
PIXELS = Random(1).randbytes(3 * SIDE**2)
NOISE = encode(Image.frombytes("RGB", (SIDE, SIDE), PIXELS), "PNG")
TINY = (64, 96)  # tokens
RANGES = [(64, 1024), (4, 16384), TINY]


# --- hashes ---------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each algorithm and length of at least a file that is hashed from now on."""
    found: list[tuple[str, int]] = []
    for name in ("blake2b", "sha256"):
        monkeypatch.setattr(hashlib, name, counting(name, found))
    return found


def counting(name: str, found: list[tuple[str, int]]) -> Callable[..., Any]:
    make = getattr(hashlib, name)

    def counted(data: Any = b"", **options: Any) -> Any:
        if len(data) >= len(NOISE):
            found.append((name, len(data)))
        return make(data, **options)

    return counted


def content(text: str) -> dict[str, Any]:
    message = {"role": "user", "content": [part(NOISE), {"type": "text", "text": text}]}
    return {"messages": [message]}


@pytest.mark.redis
async def test_a_file_is_hashed_once_and_a_body_only_for_its_key(
    web: ApiHarness, hashed: list[tuple[str, int]]
) -> None:
    async with web.working():
        reply = await web.post(**content("What is it?"))
        assert reply.status_code == 200
        assert hashed == [("blake2b", len(NOISE))]
        hashed.clear()
        once = {"idempotency-key": "abc"}
        reply = await web.post(**content("What is it?"), headers=once)
        assert reply.status_code == 200
    [(named, n_bytes), file] = hashed
    assert (named, file) == ("sha256", ("blake2b", len(NOISE)))
    assert n_bytes > 4 / 3 * len(NOISE)


def test_the_pixels_of_a_picture_are_hashed_once_without_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    sha256 = hashlib.sha256

    def counted(data: bytes) -> Any:
        made.append(len(data))
        return sha256(data)

    monkeypatch.setattr(hashlib, "sha256", counted)
    picture = Picture(SIDE, SIDE, bytes(3 * SIDE**2))
    assert picture.ref.sha256 == picture.ref.sha256
    assert made == [len(f"{SIDE}x{SIDE} RGB\n")]


# --- resampling -----------------------------------------------------------------------


@contextmanager
def resamplings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """The sizes to which a picture of another size is resampled."""
    found: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def counted(image: Image.Image, size: Any, *rest: Any) -> Image.Image:
        # Pillow resizes RGBA through a premultiplied copy
        if image.size != size and image.mode != "RGBa":
            found.append(size)
        return resize(image, size, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "resize", counted)
        yield found


def served(least: int, most: int) -> WorkerInfo:
    info = WorkerInfo("here-1", "model", "f", "int8", 1)
    return replace(info, min_image_tokens=least, max_image_tokens=most)


@pytest.mark.parametrize("detail", ["low", "auto", "high"])
@pytest.mark.parametrize(("least", "most"), RANGES)
@pytest.mark.parametrize(
    "encoded",
    [
        encode(Image.linear_gradient("L").resize((3000, 2000)), "JPEG"),
        encode(Image.linear_gradient("L").resize((2000, 3000)), "JPEG", exif=exif(6)),
        encode(Image.linear_gradient("L").resize((800, 600)), "PNG"),
        encode(Image.new("RGBA", (2500, 400)), "WEBP"),
        encode(Image.new("P", (50, 40)), "GIF"),
    ],
    ids=["camera", "turned", "screen", "wide", "small"],
)
def test_a_picture_is_resampled_once(
    encoded: bytes,
    least: int,
    most: int,
    detail: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounds = bounds_for(detail, 16384, served(least, most))
    with resamplings(monkeypatch) as sizes:
        picture = normalise(encoded, bounds.most, bounds.grid_size(encoded))
        fit(picture, *grid(picture.width, picture.height, least, most))
    assert len(sizes) == 1


@given(
    sides=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    tokens=st.sampled_from(RANGES),
    detail=st.sampled_from(["low", "auto", "high"]),
)
def test_a_grid_size_is_within_bounds_and_the_worker_keeps_it(
    sides: tuple[int, int], tokens: tuple[int, int], detail: Any
) -> None:
    width, height = sides
    assume(max(sides) <= 200 * min(sides))
    bounds = bounds_for(detail, 16384, served(*tokens))
    file = b"\x89PNG\r\n\x1a\n" + bytes(8)
    file += width.to_bytes(4, "big") + height.to_bytes(4, "big")
    size = bounds.grid_size(file)
    is_large = width * height > bounds.most * PIXELS_PER_TOKEN
    is_small = width * height < bounds.floor * PIXELS_PER_TOKEN
    if not is_large and not is_small:
        assert size is None
    elif size is None:  # a long strip does not fit between a few tokens
        assert tokens == TINY
    else:
        assert size[0] * size[1] <= bounds.most * PIXELS_PER_TOKEN
        is_enlarged = size[0] * size[1] >= bounds.floor * PIXELS_PER_TOKEN
        assert is_enlarged or bounds.floor == bounds.most
        rows, columns = grid(*size, *tokens)
        assert (columns * 32, rows * 32) == size


def test_each_detail_has_its_tokens() -> None:
    def tokens(width: int, height: int, detail: Any, most: int = 2048) -> int:
        bounds = bounds_for(detail, most, served(64, 4096))
        encoded = encode(Image.new("L", (width, height)), "PNG")
        picture = normalise(encoded, bounds.most, bounds.grid_size(encoded))
        rows, columns = grid(picture.width, picture.height, 64, 4096)
        return rows * columns

    photo, icon = (4000, 3000), (320, 240)
    assert 200 < tokens(*photo, "low") <= 256
    assert 950 < tokens(*photo, "auto") <= 1024
    assert 1950 < tokens(*photo, "high") <= 2048
    assert 450 < tokens(*photo, "high", 512) <= 512  # the operator's bound
    assert tokens(*icon, "low") == tokens(*icon, "auto") == 80
    assert 1024 <= tokens(*icon, "high") < 1200  # enlarged
    assert tokens(1280, 960, "high") == 1200  # neither


def test_a_size_has_its_own_name() -> None:
    """Caches know pictures by the sha256 of their pixels and their size."""
    encoded = encode(Image.new("L", (320, 240)), "PNG")
    names = set()
    for detail in ("low", "auto", "high"):
        bounds = bounds_for(detail, 2048, served(64, 4096))
        picture = normalise(encoded, bounds.most, bounds.grid_size(encoded))
        names.add(picture.ref.sha256)
    assert len(names) == 2  # low and auto read the same pixels


def test_an_older_worker_gets_pictures_as_before() -> None:
    older = WorkerInfo("here-1", "model", "f", "int8", 1)
    assert bounds_for("low", 1024, older) == PictureBounds(256, None)
    large = encode(Image.new("L", (3000, 2000)), "PNG")
    assert bounds_for("auto", 1024, older).grid_size(large) is None

"""Clients choose the sizes of pictures and prompts: kernels for ever new sizes must not
take ever more memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from edge.engine.step import Step, TextSpan
from edge.heap import keep_heap_small
from edge.host import held_by
from edge.images import Picture
from edge.openvino.runtime import OpenvinoRuntime
from edge.openvino.vision import OpenvinoTower
from edge.request import SamplingParams
from tests.openvino.precisions import PRECISIONS

pytestmark = pytest.mark.model

KERNELS = PRECISIONS["int8"]
N_SIZES = 64  # more than are cached
MOST_BYTES = 70 << 20  # for the second 64 sizes; without a limit 108 and 180 MB
Files = tuple[Path, Path]


def encode(files: Files, folder: Path) -> int:
    limits = {"threads": 2, "min_tokens": 1, "max_tokens": 1024}
    with closing(OpenvinoTower(files[1], folder, kernels=KERNELS, **limits)) as tower:
        return growth(lambda n: tower.embed(strip(n)))


def prefill(files: Files, folder: Path) -> int:
    sizes = {"n_slots": 1, "n_cells": 512, "threads": 2}
    with closing(
        OpenvinoRuntime(files[0], folder, kernels=KERNELS, **sizes)
    ) as runtime:

        def compute(n: int) -> None:
            runtime.open(0, SamplingParams())
            span = TextSpan(0, 0, tuple(range(40, 40 + n)), wanted=(n - 1,))
            list(runtime.logits(Step((span,))))
            runtime.release(0)

        return growth(compute)


def growth(compute: Callable[[int], object]) -> int:
    """Anonymous bytes that `compute` adds for the sizes behind the first N_SIZES."""
    anonymous = []
    for begin in (1, 1 + N_SIZES):
        for n in range(begin, begin + N_SIZES):
            compute(n)
        [held] = held_by(os.getpid())
        anonymous.append(held.anonymous_bytes)
    return anonymous[1] - anonymous[0]


def strip(n: int) -> Picture:
    """A picture of `n` image tokens."""
    return Picture(32 * n, 32, bytes(3 * 32 * 32 * n))


@pytest.mark.parametrize("grow", [encode, prefill])
def test_ever_new_sizes_do_not_take_ever_more_memory(grow, tiny, towers) -> None:
    spawn = get_context("spawn")  # a process without kernels
    with ProcessPoolExecutor(1, spawn, initializer=keep_heap_small) as child:
        assert child.submit(grow, tiny, towers).result() < MOST_BYTES

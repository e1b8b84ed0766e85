"""The browser knows how large the model sees a picture."""

from __future__ import annotations

import random

import pytest
from playwright.sync_api import Page

from edge.qwen3vl.preprocess import grid

pytestmark = pytest.mark.browser


def test_its_grid_is_the_servers(page: Page) -> None:
    draw = random.Random(5)
    sizes = [
        (draw.randint(1, 9000), draw.randint(1, 9000), least, most)
        for least, most in ((4, 1024), (16, 256), (64, 4096))
        for _ in range(700)
    ]
    sizes += [(1, 199, 4, 1024), (8000, 41, 4, 1024), (48, 80, 4, 256)]
    found = page.evaluate(
        """async (sizes) => {
          const {grid} = await import("/page/grid.js");
          return sizes.map((size) => grid(...size))
            .map((one) => [one.rows, one.columns]);
        }""",
        sizes,
    )
    assert [tuple(one) for one in found] == [grid(*size) for size in sizes]

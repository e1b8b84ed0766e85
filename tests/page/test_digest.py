"""Names of files: SHA-256, also where the browser offers none."""

from __future__ import annotations

import hashlib

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# Around the ends of a block of 64 bytes, and many blocks.
SIZES = [0, 1, 55, 56, 63, 64, 65, 1000, 1 << 20]


def test_both_ways_agree_with_the_standard(page: Page) -> None:
    found = page.evaluate(
        """async (sizes) => {
          const {digest, sha256} = await import("/page/sha256.js");
          const {hex} = await import("/page/ids.js");
          const ways = [];
          for (const n of sizes) {
            const bytes = Uint8Array.from({length: n}, (_, i) => i * 7 + n);
            ways.push([hex(digest(bytes)), await sha256(new Blob([bytes]))]);
          }
          return ways;
        }""",
        SIZES,
    )
    expected = [
        hashlib.sha256(bytes((i * 7 + n) & 255 for i in range(n))).hexdigest()
        for n in SIZES
    ]
    assert found == [[one, one] for one in expected]

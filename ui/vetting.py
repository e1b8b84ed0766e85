"""Pictures on their way in: a bounded number of decoder processes at a time."""

from __future__ import annotations

import asyncio
from typing import Literal

from edge import images
from edge.errors import InvalidRequest
from edge.images import Picture

MAX_PICTURES = 8  # in one request, earlier turns included
AT_ONCE = 2  # each takes a core for about a tenth of a second

Detail = Literal["auto", "low", "high"]
BUDGETS: dict[Detail, int] = {"low": 256, "auto": 1024}  # tokens; high: all we allow


def check_count(n_pictures: int) -> None:
    """Raises InvalidRequest for more pictures than one request may have."""
    if n_pictures > MAX_PICTURES:
        raise InvalidRequest(f"Send at most {MAX_PICTURES} pictures.")


class Vetting:
    """Vets pictures without holding up the event loop."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def vet(self, encoded: bytes, detail: Detail = "auto") -> Picture:
        """See `edge.images.vet`; `detail` says how large the picture may stay."""
        most = min(BUDGETS.get(detail, self._max_tokens), self._max_tokens)
        async with self._turn:
            return await asyncio.to_thread(images.vet, encoded, most)

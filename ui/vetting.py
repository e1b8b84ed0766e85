"""Pictures on their way in: a bounded number of decoder processes at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict

from edge import images
from edge.errors import InvalidRequest
from edge.images import Detail, Picture, budget
from edge.request import PictureRef

MAX_PICTURES = 8  # in one request, earlier turns included
AT_ONCE = 2  # each takes a core for about a tenth of a second
REMEMBERED = 10_000  # pictures, by 150 bytes each


def check_count(n_pictures: int) -> None:
    """Raises InvalidRequest for more pictures than one request may have."""
    if n_pictures > MAX_PICTURES:
        raise InvalidRequest(f"Send at most {MAX_PICTURES} pictures.")


class Vetting:
    """Vets pictures without holding up the event loop, and knows those it has seen."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._seen: OrderedDict[bytes, PictureRef] = OrderedDict()

    async def vet(self, encoded: bytes, detail: Detail = "auto") -> Picture:
        """See `edge.images.vet`; `detail` says how large the picture may stay."""
        n_tokens = budget(detail, self._max_tokens)
        async with self._turn:
            picture = await asyncio.to_thread(images.vet, encoded, n_tokens)
        self._seen[self._name(encoded, detail)] = picture.ref
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return picture

    def recall(self, encoded: bytes, detail: Detail = "auto") -> PictureRef | None:
        """The name of the picture that these very bytes were vetted to, lately."""
        return self._seen.get(self._name(encoded, detail))

    def _name(self, encoded: bytes, detail: Detail) -> bytes:
        n_tokens = budget(detail, self._max_tokens)
        return hashlib.sha256(b"%d " % n_tokens + encoded).digest()

"""The bytes that clients have made this process hold, bounded in all and by address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.errors import Unavailable

FREE = 64 << 10  # bytes of each request that are not counted
IN_FLIGHT = 128 << 20  # all other bytes, until their pictures are decoded
SHARE = IN_FLIGHT // 2  # for one address


class InFlight:
    """Bodies of requests and pictures fetched for them. There may be `times` as many
    bytes of pixels."""

    def __init__(self, times: int = 1) -> None:
        self._times = times
        self._held: Counter[str] = Counter()

    @contextmanager
    def holding(self, address: str) -> Iterator[Callable[[int], None]]:
        """A function to call with the size of each piece that has arrived for
        `address`; they count until the end of the block. It raises Unavailable when
        there are too many."""
        n_bytes = n_counted = 0

        def hold(n: int) -> None:
            nonlocal n_bytes, n_counted
            n_bytes += n
            more = max(0, n_bytes - FREE) - n_counted
            n_counted += more
            self._held[address] += more
            if more and (
                self._held.total() > self._times * IN_FLIGHT
                or self._held[address] > self._times * SHARE
            ):
                raise Unavailable(
                    "The server holds as much of large requests as it can. Try again "
                    "soon."
                )

        try:
            yield hold
        finally:
            self._held[address] -= n_counted
            if not self._held[address]:
                del self._held[address]

"""The open pages: the caller of each, and how many there may be.

A browser chooses the name of its page's session and sends it in URLs, so the name gives
no rights: a session belongs to the caller that used it first.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from edge.caller import Caller
from edge.errors import NotFound, Unavailable

LIVE = 200
OF_ONE_ADDRESS = 50
IDLE_S = 600.0


class Sessions:
    """Sessions that were used recently. `dropped` is called with the name of each that
    ends, to free its memory."""

    def __init__(
        self,
        dropped: Callable[[str], None] = lambda session: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dropped = dropped
        self._clock = clock
        # least recently used first: (caller, when)
        self._live: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def use(self, session: str, caller: Caller) -> None:
        """Records that `caller` uses a session. Raises NotFound for the session of
        another caller, and Unavailable when too many pages are open."""
        now = self._clock()
        self._drop_idle(now)
        if session in self._live:
            if self._live[session][0].name != caller.name:
                raise NotFound("There is no such session.")
        else:
            self._make_room(caller.address)
        self._live[session] = (caller, now)
        self._live.move_to_end(session)

    def of_address(self, address: str) -> list[str]:
        """The sessions of all callers at an address."""
        return [s for s, (caller, _) in self._live.items() if caller.address == address]

    def give_up(self, weight: Callable[[str], int], most: int) -> None:
        """Drops sessions until all together weigh less than `most`: each time the
        oldest with a weight, of the address with the most."""
        weights = {session: weight(session) for session in self._live}
        while sum(weights.values()) >= most:
            by_address: Counter[str] = Counter()
            for session, n in weights.items():
                by_address[self._live[session][0].address] += n
            [(heaviest, _)] = by_address.most_common(1)
            oldest = next(
                session
                for session, n in weights.items()
                if n and self._live[session][0].address == heaviest
            )
            del weights[oldest]
            self._drop(oldest)

    def _make_room(self, address: str) -> None:
        """Drops the oldest session of the address with the most: a client may have many
        names, but it cannot invent its address."""
        held = Counter(caller.address for caller, _ in self._live.values())
        if held[address] >= OF_ONE_ADDRESS:
            self._drop_oldest_of(address)
        elif len(self._live) >= LIVE:
            [(largest, n_held)] = held.most_common(1)
            if n_held == 1:
                raise Unavailable("Too many pages are open. Try again in some minutes.")
            self._drop_oldest_of(largest)

    def _drop_oldest_of(self, address: str) -> None:
        for session, (caller, _) in self._live.items():
            if caller.address == address:
                self._drop(session)
                return

    def _drop_idle(self, now: float) -> None:
        while self._live:
            session, (_, used) = next(iter(self._live.items()))
            if used > now - IDLE_S:
                return
            self._drop(session)

    def _drop(self, session: str) -> None:
        del self._live[session]
        self._dropped(session)

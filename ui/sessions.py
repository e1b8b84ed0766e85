"""The pages that are open: whose each is, and how many there may be.

A browser makes up the name of its page's session and sends it in addresses, so the name
opens nothing: a session belongs to the caller who used it first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from edge.errors import NotFound, Unavailable

LIVE = 200
OF_ONE_CALLER = 50
IDLE_S = 600.0


class Sessions:
    """Sessions that were used lately. `dropped` is called with the name of each that
    ends, to let go of what is kept for it."""

    def __init__(
        self,
        dropped: Callable[[str], None] = lambda session: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dropped = dropped
        self._clock = clock
        # least recently used first: (caller, when)
        self._live: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def use(self, session: str, caller: str) -> None:
        """Notes that `caller` uses a session. Raises NotFound for somebody else's, and
        Unavailable when too many pages are open."""
        now = self._clock()
        self._drop_idle(now)
        if session in self._live:
            if self._live[session][0] != caller:
                raise NotFound("There is no such session.")
        else:
            self._make_room(caller)
        self._live[session] = (caller, now)
        self._live.move_to_end(session)

    def _make_room(self, caller: str) -> None:
        own = [name for name, (owner, _) in self._live.items() if owner == caller]
        if len(own) >= OF_ONE_CALLER:
            self._drop(own[0])
        if len(self._live) >= LIVE:
            raise Unavailable("Too many pages are open. Try again in some minutes.")

    def _drop_idle(self, now: float) -> None:
        while self._live:
            session, (_, used) = next(iter(self._live.items()))
            if used > now - IDLE_S:
                return
            self._drop(session)

    def _drop(self, session: str) -> None:
        del self._live[session]
        self._dropped(session)

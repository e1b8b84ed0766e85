"""Whose picture is decoded next: pure policy.

Of each name and of each address one picture is decoded at a time, and those who wait
take turns: addresses first, then the names at one address. What a caller sends first is
decoded first. One large picture at a time leaves the other decoder to the small ones.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from edge.caller import Caller
from edge.errors import ClientLimit, QueueFull

AT_ONCE = 2  # decoders; each takes a core for about a tenth of a second
LARGE_AT_ONCE = 1  # of 1 GB each
MAX_WAITING = 256
MAX_WAITING_OF_ADDRESS = 16
RETRY_AFTER_S = 2


@dataclass(frozen=True, eq=False)
class Ticket:
    """A picture in the line. Two are never equal."""

    caller: Caller
    is_large: bool


class FairLine:
    """Who waits and who is at work. Not thread-safe."""

    def __init__(self) -> None:
        # addresses, and names at each: those who were served last stand last
        self._waiting: OrderedDict[str, OrderedDict[str, deque[Ticket]]] = OrderedDict()
        self._working: list[Ticket] = []
        self._n_waiting = 0

    @property
    def n_waiting(self) -> int:
        return self._n_waiting

    @property
    def n_working(self) -> int:
        return len(self._working)

    def enter(self, ticket: Ticket) -> None:
        """Raises ClientLimit or QueueFull when too many wait already."""
        caller = ticket.caller
        at_address = self._waiting.get(caller.address, {})
        if sum(map(len, at_address.values())) >= MAX_WAITING_OF_ADDRESS:
            raise ClientLimit(
                f"{MAX_WAITING_OF_ADDRESS} pictures from your address wait to be read, "
                "as many as may. Try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._n_waiting >= MAX_WAITING:
            raise QueueFull(
                "Too many pictures wait to be read. Try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        names = self._waiting.setdefault(caller.address, OrderedDict())
        names.setdefault(caller.name, deque()).append(ticket)
        self._n_waiting += 1

    def start(self) -> Ticket | None:
        """The next picture that may be decoded now; it is at work until it leaves."""
        if len(self._working) >= AT_ONCE:
            return None
        addresses = {ticket.caller.address for ticket in self._working}
        names = {ticket.caller.name for ticket in self._working}
        n_large = sum(ticket.is_large for ticket in self._working)
        for address, lines in self._waiting.items():
            if address in addresses:
                continue
            for name, line in lines.items():
                if name in names or (line[0].is_large and n_large >= LARGE_AT_ONCE):
                    continue
                ticket = line[0]
                self._remove(ticket)
                if name in lines:
                    lines.move_to_end(name)
                if address in self._waiting:
                    self._waiting.move_to_end(address)
                self._working.append(ticket)
                return ticket
        return None

    def leave(self, ticket: Ticket) -> None:
        """The picture is decoded, or nobody wants it any more."""
        if ticket in self._working:
            self._working.remove(ticket)
        else:
            self._remove(ticket)

    def _remove(self, ticket: Ticket) -> None:
        address, name = ticket.caller.address, ticket.caller.name
        lines = self._waiting[address]
        lines[name].remove(ticket)
        self._n_waiting -= 1
        if not lines[name]:
            del lines[name]
        if not lines:
            del self._waiting[address]

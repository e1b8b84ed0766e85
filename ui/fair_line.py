"""Which picture is decoded next. Pure policy.

One picture of each name and of each address is decoded at a time, and waiting ones take
turns: by address first, then by name within one address. The pictures of one caller are
begun in their order. One large picture at a time leaves the other decoder to small
ones.

While no other address uses or wants a decoder, two small pictures of one address are
decoded at the same time. The second is not counted: the next address that comes finds a
free decoder as ever.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from edge.caller import Caller
from edge.errors import ClientLimit, QueueFull

DECODERS = 2  # for different addresses; each takes a core for about a tenth of a second
MOST_WORKING = DECODERS + 1
LARGE_AT_ONCE = 1  # of 1 GB each
MAX_WAITING = 256
OF_QUESTION = 2  # how many pictures of one question are here
MAX_WAITING_OF_ADDRESS = 16 * OF_QUESTION
RETRY_AFTER_S = 2


@dataclass(frozen=True, eq=False)
class Ticket:
    """A picture in the line. Two are never equal."""

    caller: Caller
    is_large: bool


class FairLine:
    """Waiting pictures, and those at work. Not thread-safe."""

    def __init__(self) -> None:
        # by address, then by name: the last served stand last
        self._waiting: OrderedDict[str, OrderedDict[str, deque[Ticket]]] = OrderedDict()
        self._working: list[Ticket] = []
        self.n_waiting = 0

    def enter(self, ticket: Ticket) -> Ticket | None:
        """Returns the picture that is dropped for this one, if any: in a full line, one
        of the address with the most. Raises ClientLimit or QueueFull."""
        caller = ticket.caller
        n_here = self._n_waiting_at(caller.address)
        if n_here >= MAX_WAITING_OF_ADDRESS:
            raise ClientLimit(
                f"{n_here} pictures from your address are waiting to be decoded, the "
                "most that may. Try again soon.",
                retry_after_s=RETRY_AFTER_S,
            )
        dropped = None
        if self.n_waiting >= MAX_WAITING:
            longest = max(self._waiting, key=self._n_waiting_at)
            if self._n_waiting_at(longest) <= n_here + 1:
                raise full()
            dropped = self._latest_at(longest)
            self._remove(dropped)
        names = self._waiting.setdefault(caller.address, OrderedDict())
        names.setdefault(caller.name, deque()).append(ticket)
        self.n_waiting += 1
        return dropped

    def start(self) -> Ticket | None:
        """The next picture that may be decoded now; it is at work until it leaves."""
        if ticket := self._of_other_address() or self._beside():
            self._take(ticket)
        return ticket

    def _of_other_address(self) -> Ticket | None:
        addresses = {ticket.caller.address for ticket in self._working}
        names = {ticket.caller.name for ticket in self._working}
        n_large = sum(ticket.is_large for ticket in self._working)
        if len(addresses) >= DECODERS:
            return None
        for address, lines in self._waiting.items():
            if address in addresses:
                continue
            for name, line in lines.items():
                if name in names or (line[0].is_large and n_large >= LARGE_AT_ONCE):
                    continue
                return line[0]
        return None

    def _beside(self) -> Ticket | None:
        """A small picture of the only address at work."""
        if len(self._working) != 1 or self._working[0].is_large:
            return None
        lines = self._waiting.get(self._working[0].caller.address, OrderedDict())
        return next((line[0] for line in lines.values() if not line[0].is_large), None)

    def _take(self, ticket: Ticket) -> None:
        address, name = ticket.caller.address, ticket.caller.name
        self._remove(ticket)
        if address in self._waiting:
            self._waiting.move_to_end(address)
            if name in self._waiting[address]:
                self._waiting[address].move_to_end(name)
        self._working.append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Removes a picture that is decoded or no longer needed, if it is here."""
        if ticket in self._working:
            self._working.remove(ticket)
        elif ticket in self._line_of(ticket):
            self._remove(ticket)

    def _n_waiting_at(self, address: str) -> int:
        return sum(map(len, self._waiting.get(address, {}).values()))

    def _latest_at(self, address: str) -> Ticket:
        return max(self._waiting[address].values(), key=len)[-1]

    def _line_of(self, ticket: Ticket) -> deque[Ticket]:
        lines = self._waiting.get(ticket.caller.address)
        return lines.get(ticket.caller.name, deque()) if lines else deque()

    def _remove(self, ticket: Ticket) -> None:
        address, name = ticket.caller.address, ticket.caller.name
        lines = self._waiting[address]
        lines[name].remove(ticket)
        self.n_waiting -= 1
        if not lines[name]:
            del lines[name]
        if not lines:
            del self._waiting[address]


def full() -> QueueFull:
    """The error when the line has no room."""
    return QueueFull(
        "Too many pictures are waiting to be decoded. Try again soon.",
        retry_after_s=RETRY_AFTER_S,
    )

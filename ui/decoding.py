"""Pictures on their way in: a fair line to a bounded number of decoder processes."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from edge.caller import Caller
from edge.errors import InvalidPicture, InvalidRequest
from edge.images import Decoding, Detail, Picture, budget
from edge.request import PictureRef
from ui.fair_line import AT_ONCE, FairLine, Ticket, full

MAX_PICTURES = 8  # in one request, earlier turns included
REMEMBERED = 10_000  # pictures, by 150 bytes each; of refused ones as many

T = TypeVar("T")


def check_count(n_pictures: int) -> None:
    """Raises InvalidRequest for more pictures than one request may have."""
    if n_pictures > MAX_PICTURES:
        raise InvalidRequest(f"Send at most {MAX_PICTURES} pictures.")


class PictureDecoder:
    """Vets pictures without holding up the event loop, and knows those it has seen.

    What it knows is kept by the caller's scope: nobody learns what others sent.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._line = FairLine()
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, "decoder")
        self._seen: _Latest[PictureRef] = _Latest()
        self._refused: _Latest[str] = _Latest()

    async def decode(self, encoded: bytes, detail: Detail, caller: Caller) -> Picture:
        """See `edge.images.vet`; `detail` says how large the picture may stay.

        Raises QueueFull when too many pictures wait. Cancelled, it gives up its place
        in the line, or ends the child that is at work.
        """
        name = self._name(encoded, detail, caller)
        self._refuse_again(name)
        decoding = Decoding(encoded, budget(detail, self._max_tokens))
        async with self._turn(Ticket(caller, decoding.limits.is_large)):
            self._refuse_again(name)  # it may have been sent several times at once
            try:
                picture = await self._run(decoding)
            except InvalidPicture as refusal:
                if not decoding.was_ended:
                    self._refused.put(name, refusal.message)
                raise
        self._seen.put(name, picture.ref)
        return picture

    def recall(
        self, encoded: bytes, detail: Detail, caller: Caller
    ) -> PictureRef | None:
        """The name of the picture that these very bytes were vetted to, lately."""
        return self._seen.get(self._name(encoded, detail, caller))

    def _refuse_again(self, name: bytes) -> None:
        if (reason := self._refused.get(name)) is not None:
            raise InvalidPicture(reason)

    @asynccontextmanager
    async def _turn(self, ticket: Ticket) -> AsyncIterator[None]:
        if gone := self._line.enter(ticket):
            self._turns.pop(gone).set_exception(full())
        turn = self._turns[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._start()
            await turn
            yield
        finally:
            self._turns.pop(ticket, None)
            self._line.leave(ticket)
            self._start()

    def _start(self) -> None:
        while ticket := self._line.start():
            turn = self._turns.pop(ticket)
            if not turn.done():  # else its task is cancelled, and about to leave
                turn.set_result(None)

    async def _run(self, decoding: Decoding) -> Picture:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, decoding.run)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            decoding.kill()
            await asyncio.wait([work])  # the next one finds a free thread
            work.exception()  # or asyncio would complain that nobody looked
            raise

    def _name(self, encoded: bytes, detail: Detail, caller: Caller) -> bytes:
        n_tokens = budget(detail, self._max_tokens)
        name = hashlib.blake2b(f"{n_tokens} {caller.scope}\n".encode(), digest_size=32)
        name.update(encoded)
        return name.digest()


class _Latest(Generic[T]):
    """Values by name; the earliest are forgotten."""

    def __init__(self) -> None:
        self._values: OrderedDict[bytes, T] = OrderedDict()

    def get(self, name: bytes) -> T | None:
        return self._values.get(name)

    def put(self, name: bytes, value: T) -> None:
        self._values[name] = value
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)

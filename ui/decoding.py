"""Decodes the pictures of questions: a fair line, then a few processes."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Generic, TypeVar

from edge.caller import Caller
from edge.errors import InvalidPicture
from edge.images import Counting, Decoding, Detail, Picture, Spares, budget
from edge.images.claim import may_have_pages
from edge.images.jail import Jail
from edge.jobs.fleet import WorkerInfo
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.request import PictureRef
from edge.videos import Clip, ClipRef, VideoDecoding, VideoOrder, video_budget
from ui.fair_line import DECODERS, MOST_WORKING, FairLine, Ticket, full
from ui.prompt_parts import blaming
from ui.question import SentDocument, SentPicture, SentVideo

REMEMBERED = 2000  # pictures, more than are answered in an hour; of refused ones too

T = TypeVar("T")


class PictureDecoder:
    """Decodes pictures without holding up the event loop, and remembers the results.

    They are remembered by the caller's scope, so that no caller learns what others
    sent. No picture gets more than `max_tokens`, no video more than `video_tokens`.
    """

    def __init__(self, max_tokens: int, video_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._video_tokens = video_tokens
        self._line = FairLine()
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._threads = ThreadPoolExecutor(MOST_WORKING, "decoder")
        self._spares = Spares(DECODERS)
        self._decoded: _Latest[PictureRef | ClipRef] = _Latest()
        self._counted: _Latest[int] = _Latest()
        self._refused: _Latest[str] = _Latest()

    def prepare(self) -> None:
        """Starts decoders for the next pictures, beside the event loop."""
        refilling = asyncio.get_running_loop().run_in_executor(
            self._threads, self._spares.refill
        )
        # without memory for one, a picture starts its own or says so
        refilling.add_done_callback(lambda done: done.exception())

    def close(self) -> None:
        """Ends the decoders that wait for a picture."""
        self._spares.close()

    async def decode(
        self, sent: SentPicture, caller: Caller, served: WorkerInfo
    ) -> Picture:
        """The picture, as large as `served` takes it and its `detail` allows.

        Raises InvalidPicture, or QueueFull when too many pictures wait. Cancelled, it
        leaves the line, or ends the child that is at work.
        """
        bounds = bounds_for(sent.detail, self._max_tokens, served)
        key = _key(sent, caller, bounds)
        with blaming(sent.param):
            self._refuse_again(key)
            encoded = await asyncio.to_thread(sent.load)
            is_seen = sent.text_layer != "only"
            decoding = Decoding(
                encoded,
                bounds.most if is_seen else 1,
                bounds.grid_size(encoded) if is_seen else None,
                self._spares,
                page=sent.page,
                reads_text=sent.text_layer != "never",
            )
            picture = await self._run(decoding, decoding.run, caller, key)
        self._decoded.put(key, picture.ref)
        return picture

    async def decode_video(
        self, sent: SentVideo, caller: Caller, served: WorkerInfo
    ) -> Clip:
        """The frames of a video, as large as `served` takes them and its `detail`
        allows. Raises as `decode`."""
        order = self._order(sent, served)
        key = _video_key(sent, caller, order)
        with blaming(sent.param):
            self._refuse_again(key)
            decoding = VideoDecoding(await asyncio.to_thread(sent.load), order)
            clip = await self._run(decoding, decoding.run, caller, key)
        self._decoded.put(key, clip.ref)
        return clip

    async def count_pages(self, document: SentDocument, caller: Caller) -> int:
        """How many pages a document has; 1 for a picture. Raises as `decode`."""
        key = _digest(f"{caller.scope}\n", document.digest)
        if (known := self._counted.get(key)) is not None:
            return known
        with blaming(document.param):
            self._refuse_again(key)
            encoded = await asyncio.to_thread(document.load)
            if not may_have_pages(encoded):
                return 1
            counting = Counting(encoded, self._spares)
            n_pages = await self._run(counting, counting.run, caller, key)
        self._counted.put(key, n_pages)
        return n_pages

    def recall(
        self, sent: SentPicture | SentVideo, caller: Caller, served: WorkerInfo
    ) -> PictureRef | ClipRef | None:
        """The names of what the same bytes were decoded to recently; None where a text
        layer belongs to it, which is not remembered."""
        if isinstance(sent, SentVideo):
            return self._decoded.get(
                _video_key(sent, caller, self._order(sent, served))
            )
        if sent.text_layer != "never":
            return None
        bounds = bounds_for(sent.detail, self._max_tokens, served)
        return self._decoded.get(_key(sent, caller, bounds))

    def _order(self, sent: SentVideo, served: WorkerInfo) -> VideoOrder:
        budget = video_budget(sent.detail, self._video_tokens)
        order = replace(sent.order, budget_tokens=budget)
        most = served.max_image_tokens or order.pair_tokens
        return replace(order, pair_tokens=min(order.pair_tokens, most))

    def _refuse_again(self, key: bytes) -> None:
        if (reason := self._refused.get(key)) is not None:
            raise InvalidPicture(reason)

    @asynccontextmanager
    async def _turn(self, ticket: Ticket) -> AsyncIterator[None]:
        if dropped := self._line.enter(ticket):
            turn = self._turns.pop(dropped)
            if not turn.done():  # else its task was cancelled and will leave
                turn.set_exception(full())
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
            if not turn.done():  # else its task was cancelled and will leave
                turn.set_result(None)

    async def _run(
        self, jail: Jail, run: Callable[[], T], caller: Caller, key: bytes
    ) -> T:
        """The result of `run`, which is that of `jail`, when its turn comes."""
        async with self._turn(Ticket(caller, jail.limits.is_large)):
            self._refuse_again(key)  # it may have been sent several times at once
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._threads, run)
            work.add_done_callback(lambda _: self.prepare())
            try:
                return await asyncio.shield(work)
            except InvalidPicture as refusal:
                if not jail.was_ended:
                    self._refused.put(key, refusal.message)
                raise
            except asyncio.CancelledError:
                jail.kill()
                await asyncio.wait([work])  # the next picture needs a free thread
                work.exception()  # or asyncio would log it as never retrieved
                raise


def bounds_for(detail: Detail, max_tokens: int, served: WorkerInfo) -> PictureBounds:
    """The bounds of this server (`max_tokens`), a client and a model together."""
    least, largest = served.min_image_tokens, served.max_image_tokens
    if least is None or largest is None:
        return PictureBounds(budget(detail, max_tokens), None)
    # fewer than the model takes would be enlarged again
    return PictureBounds.of(detail, least, min(largest, max_tokens))


def _key(sent: SentPicture, caller: Caller, bounds: PictureBounds) -> bytes:
    """The key under which the result of one file is remembered, for one scope."""
    sizes = f"{bounds.least} {bounds.most} {bounds.floor}"
    wanted = f"{sizes} {sent.page} {sent.text_layer}"
    return _digest(f"{wanted} {caller.scope}\n", sent.digest)


def _video_key(sent: SentVideo, caller: Caller, order: VideoOrder) -> bytes:
    return _digest(
        f"video {order.budget_tokens} {order.pair_tokens} {caller.scope}\n", sent.digest
    )


def _digest(words: str, digest: bytes) -> bytes:
    return hashlib.blake2b(words.encode() + digest, digest_size=32).digest()


class _Latest(Generic[T]):
    """Values by key; the oldest are forgotten."""

    def __init__(self) -> None:
        self._values: OrderedDict[bytes, T] = OrderedDict()

    def get(self, key: bytes) -> T | None:
        return self._values.get(key)

    def put(self, key: bytes, value: T) -> None:
        self._values[key] = value
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)

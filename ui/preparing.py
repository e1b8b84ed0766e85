"""From a question as it was sent to the request that a worker gets: its pictures are
fetched and decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.caller import Caller
from edge.errors import ContextLengthExceeded
from edge.images import Picture
from edge.jobs.fleet import WorkerInfo
from edge.request import Request
from edge.videos import Clip, ClipRef
from ui.decoding import PictureDecoder
from ui.fair_line import OF_QUESTION
from ui.in_order import in_order
from ui.picture_fetch import PictureFetch
from ui.question import Linked, Question, Sent, SentVideo

# Of the pixels of one question, before its oldest pictures are left out.
MOST_BYTES: Final = 120 << 20


@dataclass(frozen=True)
class Prepared:
    """A request, all its pictures with the frames of its videos, and what is seen of
    the videos."""

    request: Request
    pictures: list[Picture]
    clips: tuple[ClipRef, ...]


class Preparing:
    """The way of pictures into requests."""

    def __init__(self, fetch: PictureFetch, decoder: PictureDecoder) -> None:
        self._fetch = fetch
        self._decoder = decoder

    async def prepare(
        self,
        question: Question,
        caller: Caller,
        served: WorkerInfo,
        hold: Callable[[int], None],
    ) -> Prepared:
        """The question as a request; `hold` is told the bytes of the pixels. Raises an
        EdgeError for a picture that cannot be had or read, or is one too many."""
        n_bytes = 0

        async def decode(sent: Sent) -> Picture | Clip:
            nonlocal n_bytes
            one = await self._decode(sent, caller, served)
            size = sum(len(picture.rgb) for picture in _pictures(one))
            n_bytes += size
            if n_bytes > MOST_BYTES:
                raise ContextLengthExceeded(
                    "The pictures and videos of one question may have "
                    f"{MOST_BYTES >> 20} MiB of pixels together, as the model sees "
                    "them, and yours have more. Send fewer or smaller ones.",
                    param=sent.param,
                )
            hold(size)
            return one

        decoded = await in_order(question.pictures, decode, OF_QUESTION)
        request = question.request(
            [one.ref for one in decoded],
            ["" if isinstance(one, Clip) else one.text for one in decoded],
        )
        pictures = [picture for one in decoded for picture in _pictures(one)]
        clips = tuple(one.ref for one in decoded if isinstance(one, Clip))
        return Prepared(request, pictures, clips)

    async def _decode(
        self, sent: Sent, caller: Caller, served: WorkerInfo
    ) -> Picture | Clip:
        if isinstance(sent, Linked):
            async with self._fetch.fetched(sent, caller.address) as fetched:
                return await self._decode(fetched, caller, served)
        if isinstance(sent, SentVideo):
            return await self._decoder.decode_video(sent, caller, served)
        return await self._decoder.decode(sent, caller, served)


def _pictures(decoded: Picture | Clip) -> Sequence[Picture]:
    return decoded.pairs if isinstance(decoded, Clip) else [decoded]

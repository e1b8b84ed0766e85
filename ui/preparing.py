"""From a question as it was sent to the request that a worker gets: its pictures are
fetched and decoded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge.caller import Caller
from edge.images import Picture
from edge.jobs.fleet import WorkerInfo
from edge.request import Request
from edge.videos import Clip, ClipRef
from ui.decoding import PictureDecoder
from ui.fair_line import OF_QUESTION
from ui.in_order import in_order
from ui.picture_fetch import PictureFetch
from ui.question import Linked, Question, Sent, SentVideo


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
        self, question: Question, caller: Caller, served: WorkerInfo
    ) -> Prepared:
        """The question as a request. Raises an EdgeError for a picture that cannot be
        had or read."""
        decode = partial(self._decode, caller=caller, served=served)
        decoded = await in_order(question.pictures, decode, OF_QUESTION)
        request = question.request(
            [one.ref for one in decoded],
            ["" if isinstance(one, Clip) else one.text for one in decoded],
        )
        clips = [one for one in decoded if isinstance(one, Clip)]
        pictures = [one for one in decoded if isinstance(one, Picture)]
        pictures += [pair for clip in clips for pair in clip.pairs]
        return Prepared(request, pictures, tuple(clip.ref for clip in clips))

    async def _decode(
        self, sent: Sent, caller: Caller, served: WorkerInfo
    ) -> Picture | Clip:
        if isinstance(sent, Linked):
            async with self._fetch.fetched(sent, caller.address) as fetched:
                return await self._decode(fetched, caller, served)
        if isinstance(sent, SentVideo):
            return await self._decoder.decode_video(sent, caller, served)
        return await self._decoder.decode(sent, caller, served)

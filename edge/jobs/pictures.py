"""Pictures in flight: the raw RGB of each job's pictures in the broker, until it ends.

They never travel inside a queue message.
"""

from __future__ import annotations

from collections.abc import Iterable

import redis
import redis.asyncio

from edge.errors import EngineError, Unavailable
from edge.images import Picture
from edge.jobs import keys
from edge.request import PictureRef


async def put_pictures(
    broker: redis.asyncio.Redis, job_id: str, pictures: Iterable[Picture], keep_s: int
) -> None:
    """Stores the pictures of a job for `keep_s` seconds at most."""
    key = keys.PICTURES(job_id)
    for picture in pictures:
        # as one: what is sent when a client leaves arrives, maybe after its job's end
        async with broker.pipeline(transaction=True) as both:
            both.hset(key, picture.ref.sha256, picture.rgb)
            both.expire(key, keep_s)
            await both.execute()


def n_bytes(pictures: Iterable[Picture]) -> int:
    """Of the pixels that are stored for a job with these pictures."""
    return sum({one.ref.sha256: len(one.rgb) for one in pictures}.values())


def get_pictures(
    broker: redis.Redis, job_id: str, refs: Iterable[PictureRef]
) -> dict[str, Picture]:
    """The pictures by sha256.

    Raises Unavailable when one is gone, EngineError when the pixels under its name are
    not its own: then the answer would be about another picture.
    """
    pictures = {}
    for ref in set(refs):
        rgb = broker.hget(keys.PICTURES(job_id), ref.sha256)
        if not isinstance(rgb, bytes):
            raise Unavailable("A picture of this question was lost. Send it again.")
        picture = Picture(ref.width, ref.height, rgb, n_frames=ref.n_frames)
        if picture.ref != ref:
            raise EngineError("A picture of this question was damaged. Send it again.")
        pictures[ref.sha256] = picture
    return pictures

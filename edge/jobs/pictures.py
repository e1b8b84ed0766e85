"""Pictures in flight: raw RGB in the broker, by hash, for as long as a job may need it.

They never travel inside a queue message. Two questions about one picture store it once.
"""

from __future__ import annotations

from collections.abc import Iterable

import redis
import redis.asyncio

from edge.errors import Unavailable
from edge.images import Picture
from edge.request import PictureRef


def _key(sha256: str) -> str:
    return f"edge:picture:{sha256}"


async def put_pictures(
    broker: redis.asyncio.Redis, pictures: Iterable[Picture], keep_s: int
) -> None:
    """Stores each picture for another `keep_s` seconds."""
    for picture in pictures:
        await broker.set(_key(picture.ref.sha256), picture.rgb, ex=keep_s)


def get_pictures(broker: redis.Redis, refs: Iterable[PictureRef]) -> dict[str, Picture]:
    """The pictures by sha256. Raises Unavailable when one is gone."""
    pictures = {}
    for ref in set(refs):
        rgb = broker.get(_key(ref.sha256))
        if not isinstance(rgb, bytes):
            raise Unavailable("A picture of this question was lost. Send it again.")
        pictures[ref.sha256] = Picture(ref.width, ref.height, rgb)
    return pictures

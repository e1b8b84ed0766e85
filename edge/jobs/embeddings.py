"""Embeddings of pictures in the cache server: an entry is a hash of a JSON header and
the raw float16 rows in chunks.

Float16, because the engine computes with these very numbers: with rows of int8 and a
scale each, which take half the room, 5 of 300 answers of `tiny` were others. A hash,
because the server evicts a key as a whole. The header is written last and checked
first; an entry that was only half written, or that two workers wrote at once, fails its
checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis

from edge.jobs import cache_keys

SCHEMA: Final = 1  # raise it when the preprocessing or the meaning of an entry changes
KEEP_S: Final = 7200
MOST_BYTES: Final = 64 << 20  # of one picture: 1024 tokens of Qwen3-VL-8B take 34 MB
MOST_HEADER_BYTES: Final = 4096
CHUNK_BYTES: Final = 1 << 20  # so that no command holds up the server for long
DTYPE: Final = "<f2"
HEADER: Final = "header"

Embeddings = npt.NDArray[np.float16]


class Damaged(Exception):
    """An entry that is not what its key stands for."""


@dataclass(frozen=True)
class Entry:
    """The embeddings of a picture, by the sha256 of its pixels, for callers of `scope`,
    from a vision encoder whose files `fingerprint` names. It makes rows x columns image
    tokens of `width` numbers each."""

    fingerprint: str
    scope: str
    picture: str
    rows: int
    columns: int
    width: int

    @property
    def key(self) -> str:
        named = json.dumps([SCHEMA, DTYPE, *astuple(self)])
        return cache_keys.EMBEDDINGS(hashlib.sha256(named.encode()).hexdigest())

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows * self.columns, self.width

    @property
    def n_bytes(self) -> int:
        return self.rows * self.columns * self.width * np.dtype(DTYPE).itemsize

    @property
    def n_chunks(self) -> int:
        return -(-self.n_bytes // CHUNK_BYTES)

    def header(self, checksum: str) -> dict[str, Any]:
        """`checksum` is the sha256 of the rows."""
        named = {"schema": SCHEMA, "dtype": DTYPE, **asdict(self)}
        return {**named, "shape": list(self.shape), "sha256": checksum}


def look(cache: redis.Redis, entry: Entry) -> str | None:
    """The checksum of the rows of `entry`; None when it is not there.

    Raises Damaged when the header is that of something else, redis.RedisError or
    OSError when the server is away.
    """
    with _is_hash():
        found: Any = cache.hget(entry.key, HEADER)
    return None if found is None else read_header(found, entry)


def fetch(cache: redis.Redis, entry: Entry, checksum: str) -> Embeddings | None:
    """The rows of `entry`, float16 [image tokens, width], read-only; None when it has
    been evicted since `look` gave their `checksum`.

    Raises Damaged when they are not all there, or others; redis.RedisError or OSError
    when the server is away.
    """
    with cache.pipeline(transaction=False) as pipe, _is_hash():
        for i in range(entry.n_chunks):
            pipe.hget(entry.key, str(i))
        chunks = pipe.execute()
    if not any(chunks):
        return None
    return read_rows(chunks, entry, checksum)


def put(cache: redis.Redis, entry: Entry, embeddings: Embeddings) -> None:
    """Stores float16 [image tokens, width] for KEEP_S, unless they have more than
    MOST_BYTES.

    Raises redis.RedisError or OSError when the server is away or full.
    """
    if entry.n_bytes > MOST_BYTES:
        return
    rows = np.ascontiguousarray(embeddings, np.dtype(DTYPE)).tobytes()
    header = json.dumps(entry.header(hashlib.sha256(rows).hexdigest()))
    with cache.pipeline(transaction=False) as pipe:
        pipe.unlink(entry.key)
        for i in range(entry.n_chunks):
            chunk = rows[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
            pipe.hset(entry.key, str(i), chunk)
            pipe.expire(entry.key, KEEP_S)  # at once: what follows may fail
        pipe.hset(entry.key, HEADER, header)
        pipe.execute()


def delete(cache: redis.Redis, entry: Entry) -> None:
    """Deletes an entry, of whatever type. Raises redis.RedisError or OSError when the
    server is away."""
    cache.unlink(entry.key)


def read_header(data: bytes, entry: Entry) -> str:
    """The checksum in the header of `entry`. Raises Damaged."""
    if len(data) > MOST_HEADER_BYTES:
        raise Damaged("the header is too long")
    try:
        header = json.loads(data)
        checksum = header["sha256"]
        is_of_entry = header == entry.header(checksum)
    except (ValueError, TypeError, LookupError, RecursionError):
        raise Damaged("the header cannot be read") from None
    if not is_of_entry or not isinstance(checksum, str):
        raise Damaged("the header is that of another entry")
    return checksum


def read_rows(
    chunks: Sequence[bytes | None], entry: Entry, checksum: str
) -> Embeddings:
    """The rows in `chunks`, read-only. Raises Damaged."""
    rows = b"".join(chunk for chunk in chunks if chunk is not None)
    if len(rows) != entry.n_bytes:
        raise Damaged("rows are missing")
    if hashlib.sha256(rows).hexdigest() != checksum:
        raise Damaged("the rows are not those of the header")
    return np.frombuffer(rows, np.dtype(DTYPE)).reshape(entry.shape)


@contextmanager
def _is_hash() -> Iterator[None]:
    """Raises Damaged where the server says that the key is not a hash."""
    try:
        yield
    except redis.ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise Damaged("the key is not a hash") from None

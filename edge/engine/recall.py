"""Embeddings of a sequence that need no encoder: fetched from the store before it
begins, or cached in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.engine.encode_queue import PictureKey
from edge.engine.encoder import Embeddings, Encoder
from edge.engine.sequence import Sequence


def fetch(sequences: Iterable[Sequence], encoder: Encoder) -> None:
    """Fetches what the store has and memory lacks; of many sequences for the first
    ones, until it is as much as memory may cache. Blocks: not for the engine thread."""
    n_bytes = 0
    for sequence in sequences:
        if not sequence.cache.reads or n_bytes > encoder.cache_bytes:
            return
        for sha256 in sequence.missing_pictures:
            key = PictureKey(sequence.scope, sha256)
            if (found := encoder.fetch(key, sequence.pixels[sha256])) is not None:
                sequence.fetched[sha256] = found
                n_bytes += found.nbytes


def recall(sequence: Sequence, encoder: Encoder) -> Iterator[tuple[str, Embeddings]]:
    """The sha256 and the embeddings of each picture that need not be encoded."""
    if not sequence.cache.reads:
        return
    for sha256 in sequence.missing_pictures:
        if (found := sequence.fetched.pop(sha256, None)) is not None:
            sequence.n_stored_image += len(found)
            yield sha256, found
        elif (found := encoder.recall(PictureKey(sequence.scope, sha256))) is not None:
            sequence.n_memory_image += len(found)
            yield sha256, found

"""Pictures: bytes from clients in, checked RGB out.

`vet` decodes in a confined child process, because a decoder's bug or a decompression
bomb must not reach a server process; the child calls `normalise`.
"""

from __future__ import annotations

from edge.images.decode import (
    FORMATS,
    MAX_ASPECT_RATIO,
    MAX_JPEG_PIXELS,
    MAX_SOURCE_PIXELS,
    normalise,
)
from edge.images.decoding import Counting, Decoding, confinement, vet
from edge.images.limits import CHILD_MEMORY_BYTES, CHILD_SECONDS
from edge.images.picture import (
    AUTO_TOKENS,
    DETAILS,
    PIXELS_PER_TOKEN,
    TOKEN_PX,
    Detail,
    Picture,
    budget,
    floor,
)
from edge.images.spares import Spares

__all__ = [
    "AUTO_TOKENS",
    "CHILD_MEMORY_BYTES",
    "CHILD_SECONDS",
    "DETAILS",
    "FORMATS",
    "MAX_ASPECT_RATIO",
    "MAX_JPEG_PIXELS",
    "MAX_SOURCE_PIXELS",
    "PIXELS_PER_TOKEN",
    "TOKEN_PX",
    "Counting",
    "Decoding",
    "Detail",
    "Picture",
    "Spares",
    "budget",
    "confinement",
    "floor",
    "normalise",
    "vet",
]

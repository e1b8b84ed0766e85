"""The structure of JPEG and PNG files, read without decoding: scans and chunks.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd edition, chapter 5. Every loop is
bounded, whatever the bytes are.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final

from edge.errors import InvalidPicture

MAX_SCANS = 100  # encoders write 1 to 12; each costs as much as a whole picture
MAX_SEGMENTS = 4096  # of a JPEG: up to 64 KB each
MAX_CHUNKS = 1 << 16  # of a PNG: encoders write 8 KB into each

JPEG: Final = b"\xff\xd8"
PNG: Final = b"\x89PNG\r\n\x1a\n"
SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # a frame begins
EOI, SOS, _TEM = 0xD9, 0xDA, 0x01
# A marker; not a stuffed byte, a restart, or the first of several fill bytes.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

# A PNG's pixels depend on these. Others are remarks, colour profiles and frames.
_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MEANT: Final = (b"tRNS", b"eXIf", b"acTL")  # acTL: how many frames there are


def check_jpeg(encoded: bytes) -> bool:
    """Whether the file ends as a JPEG does; True for other formats.

    Raises InvalidPicture for more scans or segments than a camera writes.
    """
    if not encoded.startswith(JPEG):
        return True
    n_scans = 0
    for n_segments, (marker, _) in enumerate(segments(encoded, len(encoded))):
        if marker == EOI:
            return True
        n_scans += marker == SOS
        if n_scans > MAX_SCANS:
            raise InvalidPicture(
                f"This JPEG has more than {MAX_SCANS} scans. Save it again as a "
                "baseline JPEG."
            )
        if n_segments > MAX_SEGMENTS:
            raise InvalidPicture(
                f"This JPEG has more than {MAX_SEGMENTS} segments. Save it again "
                "without metadata."
            )
    return False


def ended_jpegs(encoded: bytes) -> list[bytes]:
    """A JPEG that is cut off, completed in several ways.

    If all are the same picture, only the end marker was missing: more data would have
    changed pixels.
    """
    fills = (b"", b"\x55" * 64, b"\xaa" * 64)
    return [encoded.rstrip(b"\xff") + fill + b"\xff\xd9" for fill in fills]


def essential_png(encoded: bytes) -> bytes:
    """A PNG with only the chunks that its pixels and its orientation depend on, and the
    number of its frames.

    So damage elsewhere does no harm, and long texts cost nothing. A chunk that is cut
    off is kept: the decoder reports it.
    Raises InvalidPicture for more chunks than an encoder writes.
    """
    if not encoded.startswith(PNG):
        return encoded
    kept, at = [PNG], len(PNG)
    for _ in range(MAX_CHUNKS):
        end = at + 12 + _big(encoded[at : at + 4])
        kind = encoded[at + 4 : at + 8]
        chunk = encoded[at:end]
        if len(chunk) < end - at or kind == b"IEND":
            return b"".join([*kept, chunk])
        if kind in _CRITICAL or (kind in _MEANT and _is_sound(chunk)):
            kept.append(chunk)
        at = end
    raise InvalidPicture(
        f"This PNG has more than {MAX_CHUNKS:,} chunks. Save it again."
    )


def _is_sound(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == _big(chunk[-4:])


def segments(jpeg: bytes, near: int) -> Iterator[tuple[int, int]]:
    """Markers, and the positions of their segments. Skips entropy-coded data as libjpeg
    does, so that both find the same scans. Ends with the first picture, or when the
    next marker is more than `near` bytes away."""
    at = len(JPEG)
    while found := _MARKER.search(jpeg, at, at + near):
        marker, at = found[0][1], found.end()
        yield marker, at
        if marker == EOI:
            return
        if marker != _TEM:
            at += max(2, _big(jpeg[at : at + 2]))


def _big(number: bytes) -> int:
    return int.from_bytes(number, "big")

"""The structure of picture files, read without decoding: sizes, scans and chunks.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd edition, chapter 5, GIF89a, and Google's
"WebP Container Specification". Every loop is bounded, whatever the bytes are.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.errors import InvalidPicture

MAX_SCANS = 100  # encoders write 1 to 12; each costs as much as a whole picture
MAX_SEGMENTS = 4096  # of a JPEG: up to 64 KB each
MAX_CHUNKS = 1 << 16  # of a PNG: encoders write 8 KB into each

_JPEG: Final = b"\xff\xd8"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # a frame begins
_EOI, _SOS, _TEM = 0xD9, 0xDA, 0x01
# A marker; not a stuffed byte, a restart, or the first of several fill bytes.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_FIRST_SEGMENTS: Final = 512  # among which a frame must begin
_NEAR: Final = 4096  # bytes between two of them

# A PNG's pixels depend on these. Others are remarks, colour profiles and frames.
_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MEANT: Final = (b"tRNS", b"eXIf")


@dataclass(frozen=True)
class Claim:
    """What the header of a file claims; the rest may differ."""

    format: str
    width: int
    height: int

    @property
    def n_pixels(self) -> int:
        return self.width * self.height


def claim_of(encoded: bytes) -> Claim | None:
    """The claim of a file; None if it has none of the four formats, or is a JPEG
    without a size near its start. Cheap enough for an event loop.
    """
    if encoded.startswith(_JPEG):
        return _jpeg_claim(encoded)
    if encoded.startswith(_PNG):
        return Claim("PNG", _big(encoded[16:20]), _big(encoded[20:24]))
    if encoded.startswith(b"GIF8"):
        return Claim("GIF", _little(encoded[6:8]), _little(encoded[8:10]))
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return Claim("WEBP", *_webp_size(encoded))
    return None


def check_jpeg(encoded: bytes) -> bool:
    """Whether the file ends as a JPEG does; True for other formats.

    Raises InvalidPicture for more scans or segments than a camera writes.
    """
    if not encoded.startswith(_JPEG):
        return True
    n_scans = 0
    for n_segments, (marker, _) in enumerate(_segments(encoded, len(encoded))):
        if marker == _EOI:
            return True
        n_scans += marker == _SOS
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
    """A PNG with only the chunks that its pixels and its orientation depend on.

    So damage elsewhere does no harm, and long texts cost nothing. A chunk that is cut
    off is kept: the decoder reports it.
    Raises InvalidPicture for more chunks than an encoder writes.
    """
    if not encoded.startswith(_PNG):
        return encoded
    kept, at = [_PNG], len(_PNG)
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


def _segments(jpeg: bytes, near: int) -> Iterator[tuple[int, int]]:
    """Markers, and the positions of their segments. Skips entropy-coded data as libjpeg
    does, so that both find the same scans. Ends with the first picture, or when the
    next marker is more than `near` bytes away."""
    at = len(_JPEG)
    while found := _MARKER.search(jpeg, at, at + near):
        marker, at = found[0][1], found.end()
        yield marker, at
        if marker == _EOI:
            return
        if marker != _TEM:
            at += max(2, _big(jpeg[at : at + 2]))


def _jpeg_claim(jpeg: bytes) -> Claim | None:
    segments = _segments(jpeg, _NEAR)
    for _, (marker, at) in zip(range(_FIRST_SEGMENTS), segments, strict=False):
        if marker in _SOF:
            height, width = jpeg[at + 3 : at + 5], jpeg[at + 5 : at + 7]
            return Claim("JPEG", _big(width), _big(height))
        if marker in (_SOS, _EOI):
            break
    return None


def _webp_size(webp: bytes) -> tuple[int, int]:
    match webp[12:16]:
        case b"VP8X":
            return _little(webp[24:27]) + 1, _little(webp[27:30]) + 1
        case b"VP8L":  # a byte of signature, then twice 14 bits
            bits = _little(webp[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:  # VP8, whose two upper bits are scales
            return _little(webp[26:28]) & 0x3FFF, _little(webp[28:30]) & 0x3FFF


def _big(number: bytes) -> int:
    return int.from_bytes(number, "big")


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")

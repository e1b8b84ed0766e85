"""The structure of picture files, read without decoding: sizes, scans and chunks.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd edition, chapter 5, GIF89a, and Google's
"WebP Container Specification". Every loop is bounded, whatever the bytes are.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Final, Literal

from edge.errors import InvalidPicture

MAX_SCANS = 100  # encoders write 1 to 12; each costs as much as the whole picture
MAX_SEGMENTS = 4096  # of a JPEG: 64 KB each where they carry something
MAX_CHUNKS = 1 << 16  # of a PNG: encoders write 8 KB into each

_JPEG: Final = b"\xff\xd8"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # a frame begins
_EOI, _SOS, _TEM = 0xD9, 0xDA, 0x01
# A marker; not a stuffed byte, a restart, or the first of several fill bytes.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_FIRST_SEGMENTS: Final = 512  # among which a frame must begin
_NEAR: Final = 4096  # bytes between two of them

# What a PNG's pixels depend on. The others are remarks, colour profiles and frames.
_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MEANT: Final = (b"tRNS", b"eXIf")


def claimed_pixels(encoded: bytes) -> int | None:
    """Width x height as the header says, None for what is none of the four formats.

    Cheap enough for an event loop. A JPEG whose size is hidden counts as the largest.
    """
    if encoded.startswith(_JPEG):
        return _jpeg_pixels(encoded)
    if encoded.startswith(_PNG):
        return _product(encoded[16:20], encoded[20:24], "big")
    if encoded.startswith(b"GIF8"):
        return _product(encoded[6:8], encoded[8:10], "little")
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return _webp_pixels(encoded)
    return None


def check_jpeg(encoded: bytes) -> None:
    """Raises InvalidPicture for more scans or segments than any camera writes."""
    if not encoded.startswith(_JPEG):
        return
    n_scans = 0
    for n_segments, (marker, _) in enumerate(_segments(encoded, len(encoded))):
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


def essential_png(encoded: bytes) -> bytes:
    """A PNG with no chunks but those that its pixels and its orientation depend on.

    So damage elsewhere does no harm, and long texts cost nothing. What follows a chunk
    that is cut off is kept as it is: its reader knows what to say.
    Raises InvalidPicture for more chunks than any encoder writes.
    """
    if not encoded.startswith(_PNG):
        return encoded
    kept, at = [_PNG], len(_PNG)
    for _ in range(MAX_CHUNKS):
        end = at + 12 + int.from_bytes(encoded[at : at + 4], "big")
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
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _segments(jpeg: bytes, near: int) -> Iterator[tuple[int, int]]:
    """Markers, and where their segments begin. Entropy-coded data is passed over as
    libjpeg does, so that both find the same scans. Ends with the first picture, or
    where the next marker is more than `near` bytes away."""
    at = len(_JPEG)
    while found := _MARKER.search(jpeg, at, at + near):
        marker, at = found[0][1], found.end()
        if marker == _EOI:
            return
        yield marker, at
        if marker != _TEM:
            at += max(2, int.from_bytes(jpeg[at : at + 2], "big"))


def _jpeg_pixels(jpeg: bytes) -> int:
    for _, (marker, at) in zip(
        range(_FIRST_SEGMENTS), _segments(jpeg, _NEAR), strict=False
    ):
        if marker in _SOF:
            return _product(jpeg[at + 3 : at + 5], jpeg[at + 5 : at + 7], "big")
        if marker == _SOS:
            break
    return 1 << 32


def _webp_pixels(webp: bytes) -> int:
    match webp[12:16]:
        case b"VP8X":
            width, height = webp[24:27], webp[27:30]
            return (_little(width) + 1) * (_little(height) + 1)
        case b"VP8L":  # a byte of signature, then twice 14 bits
            bits = _little(webp[21:25])
            return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
        case _:  # VP8, whose two upper bits are scales
            return (_little(webp[26:28]) & 0x3FFF) * (_little(webp[28:30]) & 0x3FFF)


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")


def _product(width: bytes, height: bytes, order: Literal["big", "little"]) -> int:
    return int.from_bytes(width, order) * int.from_bytes(height, order)

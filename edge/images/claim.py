"""What the header of a picture file claims, read without decoding. Pure, and bounded.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG 3rd edition, chapter 5, GIF89a, Google's
"WebP Container Specification", TIFF 6.0, Windows' BITMAPINFOHEADER (BMP), and ISO/IEC
14496-12 and 23008-12 (the boxes of HEIF and AVIF).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final, Literal

from edge.images.container import EOI, JPEG, PNG, SOF, SOS, segments

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP"]

_FIRST_SEGMENTS: Final = 512  # of a JPEG, among which a frame must begin
_NEAR: Final = 4096  # bytes between two of them
_MOST_ENTRIES: Final = 512  # of the first directory of a TIFF
_MOST_BOXES: Final = 1024  # in one; a phone writes about 20
_HEVC: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AV1: Final = {b"avif", b"avis"}
_ANY: Final = {b"mif1", b"msf1", b"mif2", b"miaf"}  # brands of both


@dataclass(frozen=True)
class Claim:
    """What the header of a file claims; the rest may differ. Pixels as they are stored,
    before the picture is set upright; 0 where they are not found near the start."""

    format: Format
    width: int
    height: int

    @property
    def n_pixels(self) -> int:
        return self.width * self.height


def claim_of(encoded: bytes) -> Claim | None:
    """The claim of a file; None if it has none of the formats, or is a JPEG without a
    size near its start. Cheap enough for an event loop.
    """
    if encoded.startswith(JPEG):
        return _jpeg(encoded)
    if encoded.startswith(PNG):
        return Claim("PNG", _big(encoded[16:20]), _big(encoded[20:24]))
    if encoded.startswith(b"GIF8"):
        return Claim("GIF", _little(encoded[6:8]), _little(encoded[8:10]))
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return Claim("WEBP", *_webp_size(encoded))
    if encoded[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return Claim("TIFF", *_tiff_size(encoded))
    if encoded.startswith(b"BM"):
        return Claim("BMP", *_bmp_size(encoded))
    if encoded[4:8] == b"ftyp":
        return _boxed(encoded)
    return None


def is_pdf(encoded: bytes) -> bool:
    """Whether a file calls itself a PDF; other readers look as far."""
    return b"%PDF-" in encoded[:1024]


def may_have_pages(encoded: bytes) -> bool:
    """Whether a file is of a kind that has pages to choose from."""
    claim = claim_of(encoded)
    return claim.format == "TIFF" if claim else is_pdf(encoded)


def _jpeg(jpeg: bytes) -> Claim | None:
    found = zip(range(_FIRST_SEGMENTS), segments(jpeg, _NEAR), strict=False)
    for _, (marker, at) in found:
        if marker in SOF:
            height, width = jpeg[at + 3 : at + 5], jpeg[at + 5 : at + 7]
            return Claim("JPEG", _big(width), _big(height))
        if marker in (SOS, EOI):
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


def _tiff_size(tiff: bytes) -> tuple[int, int]:
    """The size of the first page. A BigTIFF, whose directory has another form, claims
    none."""
    order: Literal["little", "big"] = "little" if tiff[:1] == b"I" else "big"

    def number(at: int, n: int) -> int:
        return int.from_bytes(tiff[at : at + n], order)

    if number(2, 2) != 42:
        return 0, 0
    at, size = number(4, 4), {256: 0, 257: 0}  # ImageWidth, ImageLength
    for entry in range(at + 2, at + 2 + 12 * min(number(at, 2), _MOST_ENTRIES), 12):
        if (tag := number(entry, 2)) in size:
            is_short = number(entry + 2, 2) == 3
            size[tag] = number(entry + 8, 2 if is_short else 4)
    return size[256], size[257]


def _bmp_size(bmp: bytes) -> tuple[int, int]:
    if _little(bmp[14:18]) == 12:  # the header of OS/2
        return _little(bmp[18:20]), _little(bmp[20:22])
    # a negative height means that the first row is the uppermost
    height = int.from_bytes(bmp[22:26], "little", signed=True)
    return _little(bmp[18:22]), abs(height)


def _boxed(file: bytes) -> Claim | None:
    """A picture in boxes of ISO/IEC 14496-12: the largest among it, its tiles and its
    thumbnails."""
    end = _big(file[:4])
    brands = {file[at : at + 4] for at in (8, *range(16, min(end, 256), 4))}
    major = file[8:12]
    if major in _AV1 or (major in _ANY and brands & _AV1):
        name: Format = "AVIF"
    elif major in _HEVC or (major in _ANY and brands & _HEVC):
        name = "HEIF"
    else:
        return None
    at, end = 0, len(file)
    for kind, n_version in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0)):
        at, end = next(_boxes(file, at, end, kind), (0, 0))
        at += n_version
    sizes = [
        (_big(file[at + 4 : at + 8]), _big(file[at + 8 : at + 12]))
        for at, _ in _boxes(file, at, end, b"ispe")
    ]
    return Claim(name, *max(sizes, key=prod, default=(0, 0)))


def _boxes(file: bytes, at: int, end: int, kind: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of a kind begin and end."""
    for _ in range(_MOST_BOXES):
        n_bytes, start = _big(file[at : at + 4]), at + 8
        if n_bytes == 1:  # a longer number behind the kind
            n_bytes, start = _big(file[at + 8 : at + 16]), at + 16
        box_end = at + n_bytes if n_bytes else end  # 0: up to the end
        if not start <= box_end <= end:
            return
        if file[at + 4 : at + 8] == kind:
            yield start, box_end
        at = box_end


def _big(number: bytes) -> int:
    return int.from_bytes(number, "big")


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")

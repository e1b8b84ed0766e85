"""What kind of video the first bytes of a file claim. Pure.

Sources: ISO/IEC 14496-12 and Apple's QuickTime File Format (boxes), RFC 8794 (EBML,
which begins WebM and Matroska).
"""

from __future__ import annotations

from typing import Final, Literal

from edge.images.claim import claim_of

# The first two are FFmpeg's names of formats.
Kind = Literal["mp4", "matroska", "GIF", "WEBP"]

_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_EBML: Final = b"\x1a\x45\xdf\xa3"


def kind_of(encoded: bytes) -> Kind | None:
    """None for any other file; a GIF or WebP may hold one frame only."""
    if claim := claim_of(encoded):
        return claim.format if claim.format in ("GIF", "WEBP") else None
    if encoded.startswith(_EBML):
        return "matroska"
    return "mp4" if encoded[4:8] in _BOXES else None

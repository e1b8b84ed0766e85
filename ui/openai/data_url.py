"""Files in a body: `data:` URLs and bare base64, as forgiving as browsers are."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote

from edge.errors import InvalidPicture, UrlNotAllowed

BASE64_PIECE = 1 << 17  # letters decoded at a time: 0.15 ms
_LONGEST_HEADER = 200  # characters before the comma

# How the base64 of PNG, JPEG, GIF, WebP, BMP, TIFF, PDF, and of HEIF and AVIF begins.
_BARE = re.compile(
    r"\s*(?:iVBOR|/9j/|_9j_|R0lGOD|UklGR|Qk[0-3]|SUkq|TU0A|JVBERi|AAAA[A-Za-z0-9]GZ0eX)"
)
# ... and that of WebM and Matroska, MP4 and QuickTime, GIF and WebP.
_BARE_VIDEO = re.compile(r"\s*(?:GkXfo|AAAA[A-Za-z0-9][A-Za-z0-9+/_-]{5}|R0lGOD|UklGR)")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_SAFE = str.maketrans("-_", "+/", " \t\r\n\f\v")  # white space and url-safe letters


def decode_picture(url: str) -> bytes:
    """The bytes of a picture or document that is sent as `decode_file` reads it."""
    return decode_file(url, "picture", _BARE)


def decode_video(url: str) -> bytes:
    """The bytes of a video that is sent as `decode_file` reads it."""
    return decode_file(url, "video", _BARE_VIDEO)


def decode_file(url: str, noun: str, bare: re.Pattern[str]) -> bytes:
    """The bytes of a file that is sent as a `data:` URL (RFC 2397) of base64, or as the
    base64 alone, if it is `bare`. Errors call it by the `noun`.

    Raises UrlNotAllowed for any other address: none from a client is ever opened.
    """
    if bare.match(url):
        return _decoded(url, noun)
    kind = "image" if noun == "picture" else noun
    scheme = _SCHEME.match(url)
    if not scheme:
        raise InvalidPicture(
            f"A {noun} is sent as a URL that begins with data:{kind}/...;base64, and "
            "goes on with the file in base64."
        )
    if scheme[1].lower() != "data":
        raise UrlNotAllowed(
            f"{noun.capitalize()}s are accepted only as data: URLs; this server opens "
            f"no other address. Send the {noun} itself, base64-encoded."
        )
    comma = url.find(",", scheme.end(), scheme.end() + _LONGEST_HEADER)
    header = url[scheme.end() : max(comma, 0)].strip().lower()
    if comma < 0 or not header.endswith(";base64"):
        raise InvalidPicture(
            f"A {noun}'s URL must begin with data:{kind}/...;base64, and this one does "
            "not say base64."
        )
    if url[comma + 1 :].lstrip()[:5].lower() == "data:":
        raise InvalidPicture(
            f"This {noun}'s URL begins with data: twice. Send it with one prefix."
        )
    return _decoded(url[comma + 1 :], noun)


def _decoded(text: str, noun: str) -> bytes:
    """What is usually well-formed is decoded as it is; else it is cleaned first."""
    try:
        return decode_base64(text)
    except ValueError:
        pass
    try:
        return decode_base64(_cleaned(text))
    except ValueError:  # also for letters beyond ASCII
        if text.lstrip().startswith(("b'", 'b"')):
            raise InvalidPicture(
                "This picture's base64 begins with b', as bytes in Python do. Make it "
                "text with .decode()."
            ) from None
        raise InvalidPicture(
            f"This {noun} is not valid base64: it has other letters in it, or was cut "
            "short."
        ) from None


def _cleaned(text: str) -> str:
    """With the standard alphabet, padded, and without white space. Linear."""
    if "%" in text:
        text = unquote(text, errors="strict")
    text = text.translate(_SAFE).rstrip("=")
    return text + "=" * (-len(text) % 4)


def decode_base64(text: str) -> bytes:
    """The bytes that `text` encodes, in pieces: decoding holds Python's lock, and the
    event loop waits for it. Raises ValueError for anything but whole base64."""
    if 0 <= text.find("=") < len(text) - 2:
        raise ValueError("padding before the end")
    pieces = range(0, max(len(text), 1), BASE64_PIECE)
    # not b64decode, which first searches for letters that do not belong
    return b"".join(
        binascii.a2b_base64(text[at : at + BASE64_PIECE], strict_mode=True)
        for at in pieces
    )

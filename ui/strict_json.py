"""JSON from clients: counted before it is parsed, and read strictly.

Two passes over the bytes in NumPy, which lets other threads run, find the strings and
count the bytes outside them. This bounds the time of the standard library's parser,
which runs afterwards. Python's is lenient (UTF-16, NaN, repeated keys,
half characters): RFC 8259 is not, and neither is this.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import PydanticCustomError

from edge.errors import BodyTooLarge, InvalidJson, InvalidRequest

MAX_STRUCTURE = 50_000  # of the characters [ { , :
MAX_DEPTH = 64
MAX_OUTSIDE = 1 << 20  # bytes outside of strings: only strings may be longer
MAX_NUMBER = 100  # characters; Python needs quadratic time for an integer
MAX_TEXT = 200_000  # characters of a string
# These may be longer, in ASCII: files, or lists of them.
LONG = {
    "url",
    "image_url",
    "video_url",
    "data",
    "file_data",
    "image",
    "images",
    "video",
}
PIECE = 1 << 20  # bytes looked at in one step

Quotes = npt.NDArray[np.int64]

QUOTE, BACKSLASH = ord('"'), ord("\\")
_TOO_LONG = f"should have at most {MAX_TEXT:,} characters"
# Windows' shells remove the double quotes inside single ones, or leave both.
_NO_QUOTES = re.compile(r"\s*('|\{\s*[^\s\"}])")
SHELL = (
    "Its names need double quotes, which some shells remove: write it to a file, and "
    "send that with curl --data @FILE."
)
_LONG_NUMBER = re.compile(rb"[-+.0-9A-Za-z]{%d,}" % (MAX_NUMBER + 1))


def load(data: bytes | bytearray) -> Any:
    """The value of `data`, JSON in UTF-8.

    Raises InvalidJson for invalid JSON, InvalidRequest or BodyTooLarge beyond the
    limits above.
    """
    check_encoding(data)
    quotes = find_quotes(data)
    check_strings(data, quotes)
    check_bounds(outside_strings(data, quotes))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(
            f"The body is not valid JSON: byte {error.start + 1} is not UTF-8."
        ) from None
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = error.msg.removesuffix(" at").removesuffix(" starting")
        hint = f" {SHELL}" if _NO_QUOTES.match(text) else ""
        raise InvalidJson(
            f"The body is not valid JSON: {message} ({where}).{hint}"
        ) from None
    if fault := _fault(value):
        path, complaint = fault
        raise InvalidRequest(f"{path or 'The body'}: {complaint}.", param=path or None)
    return value


def check_text(text: str) -> str:
    """`text`, a string in a body that may hold JSON, for pydantic, which names its
    field. Raises its error for JSON that Python's parser cannot read."""
    data = text.encode()
    try:
        quotes = find_quotes(data)
    except InvalidRequest:
        raise PydanticCustomError(
            "large_json", f"JSON should have at most {MAX_STRUCTURE:,} strings"
        ) from None
    if _depth(outside_strings(data, quotes)) > MAX_DEPTH:
        raise PydanticCustomError(
            "nested_json", f"JSON should be nested at most {MAX_DEPTH} deep"
        )
    return text


def check_encoding(data: bytes | bytearray) -> None:
    """Raises InvalidJson for an empty body, and for any encoding but UTF-8 without a
    byte order mark (RFC 8259, section 8.1)."""
    start = bytes(data[:4])
    if not start:
        raise InvalidJson("The body is empty. Send JSON.")
    if start.startswith(b"\xef\xbb\xbf"):
        raise InvalidJson(
            "The body is not valid JSON: it begins with a byte order mark. Send UTF-8 "
            "without one."
        )
    if b"\0" in start or start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidJson("The body is not valid JSON in UTF-8. Send it in UTF-8.")


def find_quotes(data: bytes | bytearray) -> Quotes:
    """The positions of quotes in `data` that no backslash escapes.

    Raises InvalidRequest for more strings than a body may have.
    """
    whole = np.frombuffer(data, np.uint8)
    found = [np.zeros(0, np.int64)]
    n_found, is_escaped = 0, False  # the first byte of the piece
    for start in range(0, len(whole), PIECE):
        piece = whole[start : start + PIECE]
        escaped = np.zeros(len(piece) + 1, bool)
        escaped[0] = is_escaped
        slashes = np.flatnonzero(piece == BACKSLASH)
        if is_escaped and len(slashes) and slashes[0] == 0:
            slashes = slashes[1:]
        if len(slashes):
            is_first = np.diff(slashes, prepend=-2) != 1
            first = np.maximum.accumulate(np.where(is_first, slashes, 0))
            escaped[slashes[(slashes - first) % 2 == 0] + 1] = True
        quotes = np.flatnonzero(piece == QUOTE)
        quotes = quotes[~escaped[quotes]] + start
        is_escaped = bool(escaped[-1])
        n_found += len(quotes)
        if n_found > 2 * MAX_STRUCTURE + 2:
            raise _too_much()
        found.append(quotes)
    return np.concatenate(found)


def check_strings(data: bytes | bytearray, quotes: Quotes) -> None:
    """Raises InvalidRequest for a long string that is not ASCII: one such character
    makes Python take four bytes for each of the others."""
    ends = [*quotes.tolist(), len(data)]
    for begin, end in zip(ends[::2], ends[1::2], strict=False):
        # the longest way to write a character is 12 bytes: \ud83d\ude00
        if end - begin > 12 * MAX_TEXT and not data[begin:end].isascii():
            raise InvalidRequest(f"A text in the body {_TOO_LONG}.")


def outside_strings(data: bytes | bytearray, quotes: Quotes) -> bytes:
    """The bytes of `data` outside of strings, without the quotes. An unclosed quote
    begins a string that lasts to the end."""
    ends = [-1, *quotes.tolist(), len(data)]
    pairs = zip(ends[::2], ends[1::2], strict=False)
    return b"".join(data[before + 1 : after] for before, after in pairs)


def check_bounds(outside: bytes) -> None:
    """Raises InvalidRequest or BodyTooLarge when there is too much to parse outside of
    strings (see `outside_strings`)."""
    if len(outside) > MAX_OUTSIDE:
        raise BodyTooLarge(
            f"The body has {len(outside):,} bytes outside of strings; "
            f"{MAX_OUTSIDE:,} are allowed. Only texts and pictures may be long."
        )
    kinds = np.frombuffer(outside, np.uint8)
    if sum(int((kinds == ord(kind)).sum()) for kind in "[{,:") > MAX_STRUCTURE:
        raise _too_much()
    if _depth(outside) > MAX_DEPTH:
        raise InvalidRequest(
            f"The body is nested more than {MAX_DEPTH} deep. Send a flatter one."
        )
    if _LONG_NUMBER.search(outside):
        raise InvalidRequest(
            f"A number in the body has more than {MAX_NUMBER} characters."
        )


def _depth(outside: bytes) -> int:
    kinds = np.frombuffer(outside, np.uint8)
    opens = (kinds == ord("[")) | (kinds == ord("{"))
    closes = (kinds == ord("]")) | (kinds == ord("}"))
    return int(np.cumsum(opens.astype(np.int32) - closes).max(initial=0))


def _too_much() -> InvalidRequest:
    return InvalidRequest(
        f"The body has more than {MAX_STRUCTURE:,} values. Send fewer messages or "
        "fields."
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                key = key[:80]
                raise InvalidRequest(f"The body has the key {key!r} twice.", param=key)
            seen.add(key)
    return found


def _fault(value: Any, field: str = "") -> tuple[str, str] | None:
    """The path and the fault of the first value in `value`, which is that of `field`,
    that is not valid JSON or too long."""
    match value:
        case str():
            is_ascii = value.isascii()
            if len(value) > MAX_TEXT and not (is_ascii and field in LONG):
                return "", f"String {_TOO_LONG}"
            if not is_ascii and not _is_whole(value):
                return "", "Half a character (a lone surrogate) is not valid text"
        case float():
            if not math.isfinite(value):
                return "", "NaN, Infinity and numbers as large are not valid JSON"
        case list():
            for n, item in enumerate(value):
                if fault := _fault(item, field):
                    return _join(f"[{n}]", fault[0]), fault[1]
        case dict():
            for key, item in value.items():
                if fault := _fault(key) or _fault(item, key):
                    return _join(key[:80], fault[0]), fault[1]
    return None


def _join(step: str, rest: str) -> str:
    return step + rest if rest[:1] in ("", "[") else f"{step}.{rest}"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""One request to a model hub for a file, and the check that the response is the file.

`urllib` is enough: it honours http_proxy, https_proxy and no_proxy, follows the hub's
redirect to its CDN, and sends the Range header again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from http.client import HTTPException, HTTPMessage, HTTPResponse
from queue import Empty, SimpleQueue
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from edge.models.registry import RemoteFile

# Offset in the file, some bytes, bytes of the file, its version.
Piece = tuple[int, bytes, int, str]

HEAD_BYTES: Final = 512  # enough to tell a model from a message
PIECE_BYTES: Final = 1 << 18

# What these mean at a hub; other codes are shown as a number.
MEANINGS: Final = {
    401: ", it wants a login",
    403: ", it forbids this file",
    404: ", it does not have this file",
    429: ", too many requests",
}
TEMPORARY: Final = (408, 425, 429)  # and all from 500 on


class Refused(Exception):
    """This endpoint will never provide the file."""


class Broken(Exception):
    """A failure that may pass; the server may have said when to try again."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Damaged(Exception):
    """What was downloaded so far is not the beginning of the file."""


def host_of(url: str) -> str:
    """The host of any text, without user and password: for messages."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url


def fetch(
    endpoint: str, file: RemoteFile, start: int, timeout_s: float
) -> Generator[Piece, None, None]:
    """The bytes of `file` from `start` on.

    A server without ranges sends the whole file: its first offset is 0. The version is
    empty when the server does not tell one that stands for exact bytes. `timeout_s`
    limits the time without data. Raises Refused, before the first piece if possible,
    when the response is not this file; Broken when the connection or the server fails;
    Damaged when the file at the hub is shorter than `start`.
    """
    path = quote(f"{file.repository}/resolve/{file.revision}/{file.name}")
    headers = {"User-Agent": "edge-vl"} | (
        {"Range": f"bytes={start}-"} if start else {}
    )
    try:
        if not _is_http(endpoint):
            raise Refused(f"{endpoint} is not an http or https URL")
        request = Request(f"{endpoint.rstrip('/')}/{path}", headers=headers)
        with build_opener(_Redirects).open(request, timeout=timeout_s) as answer:
            yield from _pieces(answer, file, start)
    except HTTPError as error:
        with error:
            raise _judged(error, endpoint) from None
    except ValueError:
        raise Refused(f"{endpoint} is not a URL") from None
    except (OSError, HTTPException) as error:
        raise Broken(f"{host_of(endpoint)}: {_why(error, timeout_s)}") from None


def any_answers(
    file: RemoteFile, endpoints: Sequence[str], within_s: float = 3.0
) -> bool:
    """Whether one of `endpoints` offers `file`; requests its last byte.

    All are asked at once, in threads that may run on for a while: a DNS look-up has no
    time limit.
    """
    found: SimpleQueue[bool] = SimpleQueue()

    def ask(endpoint: str) -> None:
        start = file.size - 1 if file.size else 0
        try:
            with closing(fetch(endpoint, file, start, within_s)) as pieces:
                next(pieces)
            found.put(True)
        except (Refused, Broken, Damaged):
            found.put(False)

    for endpoint in endpoints:
        threading.Thread(target=ask, args=(endpoint,), daemon=True).start()
    end = time.monotonic() + within_s
    try:
        return any(found.get(timeout=max(0, end - time.monotonic())) for _ in endpoints)
    except Empty:
        return False


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if not _is_http(newurl):  # urllib would follow to ftp
            raise HTTPError(newurl, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_http(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


def _pieces(
    answer: HTTPResponse, file: RemoteFile, start: int
) -> Generator[Piece, None, None]:
    host = host_of(answer.url)
    offset, size = _extent(answer, start)
    etag = answer.headers.get("ETag", "")
    version = etag if etag.startswith('"') else ""  # W/"..." is a weak one
    data = b""
    if offset == 0:  # only the beginning shows the type of a file
        data = answer.read(HEAD_BYTES)
        if kind := _strange_kind(data):
            raise Refused(f"what {host} sends is {kind}, not the file itself")
    total = file.size or size
    if total is None:
        raise Refused(f"{host} does not say how many bytes it has")
    if size not in (None, total):
        raise Refused(f"{host} offers {size} bytes instead of {total}")
    while data := data or answer.read1(PIECE_BYTES):
        if offset + len(data) > total:
            raise Refused(f"{host} sends more than {total} bytes")
        yield offset, data, total, version
        offset += len(data)
        data = b""
    if offset < total:
        raise Broken(f"{host} ended the connection at {offset} of {total} bytes")


def _extent(answer: HTTPResponse, start: int) -> tuple[int, int | None]:
    """Where a response begins in the file, and the size of the file if it is known."""
    if answer.status != 206:
        return 0, answer.length
    content_range = answer.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
    if not found or int(found[1]) != start:
        raise Refused(f"{host_of(answer.url)} answers with another part of the file")
    return start, None if found[2] == "*" else int(found[2])


def _strange_kind(head: bytes) -> str | None:
    """What a file with this beginning is; None if it may be GGUF."""
    if b"GGUF".startswith(head[:4]):
        return None
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page"
    return "a JSON message" if text.startswith((b"{", b"[")) else "no GGUF file"


def _judged(error: HTTPError, endpoint: str) -> Exception:
    host, code = host_of(error.url), error.code
    if code == 416:
        return Damaged(f"{host} has a shorter file")
    what = f"{host} answered {code}{MEANINGS.get(code, '')}"
    if code in TEMPORARY or code >= 500:
        pause = error.headers.get("Retry-After", "")
        return Broken(what, float(pause) if pause.isdecimal() else 0.0)
    if 300 <= code < 400:
        what = f"{host_of(endpoint)} redirects to {error.url}, which leads nowhere"
    return Refused(what)


def _why(error: Exception, timeout_s: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"nothing came for {timeout_s:g} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__

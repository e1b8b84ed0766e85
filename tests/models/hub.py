"""A model hub on loopback: the real protocol and every way to fail.

    /REPOSITORY/resolve/REVISION/NAME  ->  302  ->  /cdn/NAME  ->  200 or 206

Each request for a file consumes one `Fault`, if any is left.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep

from edge.models.registry import Entry, RemoteFile

REPOSITORY, REVISION = "Some/Model-GGUF", "52d6c8f"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def gguf(n_bytes: int, seed: int = 1) -> bytes:
    """Bytes that begin like a GGUF file and never repeat."""
    blocks = (sha256(f"{seed} {n}".encode()).digest() for n in range(n_bytes // 32 + 1))
    return (b"GGUF" + b"".join(blocks))[:n_bytes]


MODEL, MMPROJ = gguf(300_000, 1), gguf(90_000, 2)
FILES = {"m.gguf": MODEL, "mmproj-m.gguf": MMPROJ}


def remote(name: str, contents: bytes) -> RemoteFile:
    return RemoteFile(
        REPOSITORY, REVISION, name, len(contents), sha256(contents).hexdigest()
    )


ENTRY = Entry("m", "MIT", *(remote(name, data) for name, data in FILES.items()))


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; nothing by default."""

    status: int = 0  # instead of the redirect
    headers: Mapping[str, str] = field(default_factory=dict)  # with that status
    body: bytes | None = None  # instead of the file
    cut_after: int | None = None  # bytes of the body, then the connection ends
    stall_after: int | None = None  # bytes of the body, then nothing
    length: int | None = None  # in Content-Length
    no_length: bool = False
    ignores_ranges: bool = False
    content_range: str = ""
    weak: str = ""  # or W/, before the ETag


class Hub:
    """A running hub. `delay_s` is a pause before each 64 KiB."""

    def __init__(self, files: Mapping[str, bytes] = FILES) -> None:
        self.files = dict(files)
        self.faults: deque[Fault] = deque()
        self.always = Fault()
        self.delay_s = 0.0
        self.asked: list[tuple[str, str | None]] = []  # names and ranges, at the CDN
        self.hits = 0  # requests of every kind
        self.body_bytes = 0
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def fails(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.hits += 1
            self.close_connection = True
            _, _, path = self.path.rpartition(hub.host)  # a proxy may send a whole URL
            if path.startswith("/cdn/"):
                self.serve(path.removeprefix("/cdn/").partition("?")[0])
                return
            name = path.rpartition("/")[2]
            self.fault = hub.faults.popleft() if hub.faults else hub.always
            right = path == f"/{REPOSITORY}/resolve/{REVISION}/{name}"
            status = self.fault.status or (302 if right and name in hub.files else 404)
            if status == 302 and "Location" not in self.fault.headers:
                hub.faults.appendleft(self.fault)  # the CDN shows it
                self.send_response(302)
                self.send_header("Location", f"/cdn/{name}?signature=%2Babc")
                self.send_header("ETag", f'"{name}"')
            else:
                self.send_response(status)
                for key, value in self.fault.headers.items():
                    self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def serve(self, name: str) -> None:
            fault = hub.faults.popleft()
            whole = hub.files[name] if fault.body is None else fault.body
            range_ = self.headers.get("Range")
            hub.asked.append((name, range_))
            found = re.fullmatch(r"bytes=(\d+)-", range_ or "")
            start = int(found[1]) if found and not fault.ignores_ranges else 0
            if start and start >= len(whole):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(whole)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            said = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
            self.send_response(206 if start else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'{fault.weak}"{sha256(whole).hexdigest()}"')
            if start:
                self.send_header("Content-Range", fault.content_range or said)
            length = len(whole) - start if fault.length is None else fault.length
            if not fault.no_length:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.send_body(whole[start:], fault)

        def send_body(self, body: bytes, fault: Fault) -> None:
            ends = (fault.cut_after, fault.stall_after, len(body))
            end = min(n for n in ends if n is not None)
            for at in range(0, end, 1 << 16):
                sleep(hub.delay_s)
                piece = body[at : min(end, at + (1 << 16))]
                hub.body_bytes += len(
                    piece
                )  # before the write: the reader may look at once
                self.wfile.write(piece)
            if fault.stall_after is not None:
                self.wfile.flush()
                hub.closing.wait(10)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # the client disconnected
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler

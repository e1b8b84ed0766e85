"""No path or address from a client is ever opened (W1, W3, W4, W8)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import EdgeError
from tests.security.conftest import Web, canary, refused
from ui import payloads
from ui.uploads import Uploads

AT_ONCE_S = 2.0  # /dev/zero, a FIFO and a dead address would take for ever


def outside(port: int) -> dict[str, str]:
    """Paths other than uploads, by kind; no call may reach the server at `port`."""
    return {
        "a file": "/etc/hostname",
        "a secret": "/proc/self/environ",
        "without an end": "/dev/zero",
        "relative": "etc/hostname",
        "empty": "",
        "a surrogate": "\ud800",
        "file:": "file:///etc/hostname",
        "http:": f"http://127.0.0.1:{port}/a.png",
        "https:": f"https://127.0.0.1:{port}/a.png",
        "a network path": f"//127.0.0.1:{port}/a.png",
        "long": "/tmp/" + 100_000 * "a",
    }


@pytest.fixture(scope="module")
def traps(web: Web, png: bytes) -> Iterator[dict[str, str]]:
    """Paths by kind, some within the uploads folder."""
    folder = web.uploads / "edge-vl" / ("f" * 64)
    folder.mkdir()
    os.mkfifo(folder / "fifo.png")
    (folder / "link.png").symlink_to("/etc/hostname")
    (folder / "planted.png").write_bytes(png)
    own, others = (
        web.upload(("a.png", png), source=address).json()[0]
        for address in ("127.0.0.1", "127.0.0.7")
    )
    with canary() as listener:
        yield outside(listener.getsockname()[1]) | {
            "a fifo": str(folder / "fifo.png"),
            "a link": str(folder / "link.png"),
            "not of the table": str(folder / "planted.png"),
            "somebody else's": others,
            "a detour": own.replace("/edge-vl/", "/edge-vl/../edge-vl/"),
            "upwards": f"{own}/../../../../../../etc/hostname",
            "a folder": str(folder),
            "a nul": f"{own}\0",
        }
        assert not called(listener)


def called(listener: socket.socket) -> bool:
    listener.settimeout(0.2)
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return False
    return True


def files(path: str) -> Iterator[dict[str, Any]]:
    """How a payload may say that something is a file."""
    meta = {"meta": {"_type": "gradio.FileData"}}
    yield {"path": path} | meta
    yield {"path": path}
    yield {"path": path, "url": path, "is_stream": True} | meta
    yield {"path": path, "orig_name": "a.png", "mime_type": "image/png"} | meta


def parts(path: str) -> Iterator[Any]:
    """A path in every part of a message that Gradio knows, and in some that it
    might."""
    for file in files(path):
        yield {"type": "file", "file": file}
        yield {"type": "file", "file": file, "alt_text": file}
        for component in ("image", "file", "video", "html", "textbox", "gallery"):
            yield {
                "type": "component",
                "component": component,
                "value": file,
                "constructor_args": {"value": path},
                "props": {},
            }
        yield file
        yield [path, "alt"]
        yield {"type": "text", "text": file}


def nestings(path: str, n_inputs: int) -> Iterator[list[Any]]:
    """Payloads for a function of `n` inputs, with the path everywhere."""
    for part in parts(path):
        history = [{"role": "user", "content": [part], "metadata": {"title": path}}]
        bare = [{"role": "user", "content": part}]
        box = {"text": "x", "files": [part]}
        for one in (history, bare, box, part, [part], {"root": history}):
            yield [one] * n_inputs
        if n_inputs == 2:
            yield [{"text": "x", "files": []}, history]
            yield [{"text": "x", "files": [part]}, []]


KINDS = [
    "a file",
    "a secret",
    "without an end",
    "a fifo",
    "a link",
    "not of the table",
    "somebody else's",
    "a detour",
    "upwards",
    "relative",
    "a folder",
    "empty",
    "a nul",
    "a surrogate",
    "file:",
    "http:",
    "https:",
    "a network path",
    "long",
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_shape_passes_a_foreign_path(
    web: Web, traps: dict[str, str], kind: str, tmp_path: Path
) -> None:
    """All functions, all nestings: the result has only paths of the table."""
    uploads = Uploads(tmp_path / "edge")
    functions = dict(enumerate(payloads.SHAPES))
    n_tried = 0
    for number in functions:
        for n_inputs in range(4):
            for data in nestings(traps[kind], n_inputs):
                body = {"fn_index": number, "data": data, "session_hash": "a"}
                n_tried += 1
                try:
                    passed = payloads.rebuild_call(
                        body, functions, lambda path: uploads.find("me", path)
                    )
                except EdgeError as refusal:
                    assert refusal.status in (400, 404, 413)
                else:
                    assert passed["data"] == []
                    assert n_inputs == 0
    assert n_tried > 1000


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_in_a_payload_is_refused_at_once(
    web: Web, traps: dict[str, str], kind: str
) -> None:
    """By the running process, whose memory and event loop all requests share."""
    file = {"path": traps[kind], "meta": {"_type": "gradio.FileData"}}
    component = {"type": "component", "component": "image", "value": file}
    component |= {"constructor_args": {}, "props": {}}
    for number in range(8):  # the page's functions, and more
        for part in ({"type": "file", "file": file}, component):
            history = [{"role": "user", "content": [part]}]
            for data in ([history], [{"text": "x", "files": [file]}, history]):
                answer = web.join(number, data)
                assert answer.status in (400, 404, 413), data
                assert answer.seconds < AT_ONCE_S
                assert set(answer.json()) == {"error", "detail"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_address_serves_a_path_outside_ones_own_uploads(
    web: Web, traps: dict[str, str], kind: str
) -> None:
    path = traps[kind].encode("utf-8", "replace").decode()
    quoted = "".join(
        c if c.isalnum() or c in "/:._-" else f"%{ord(c):02x}" for c in path
    )
    for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="):
        answer = web.ask("GET", prefix + quoted[:8000])
        refused(answer, 404, "not_found")
        assert answer.seconds < AT_ONCE_S


@pytest.mark.parametrize("name", ["run/x", "api/x", "call/ask", "call/v2/ask"])
def test_the_two_requests_that_read_any_file(web: Web, name: str) -> None:
    """W1 as it was: Gradio copies the file into its folder and tells where."""
    file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    history = [{"role": "user", "content": [{"type": "file", "file": file}]}]
    before = everything(web.uploads)
    for number in range(32):
        body = {"fn_index": number, "session_hash": "a", "data": [history]}
        answer = web.tell(f"/gradio_api/{name}", body)
        refused(answer, 404, "not_found")
    assert everything(web.uploads) == before


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_file_that_became_a_link_is_not_followed(web: Web, png: bytes) -> None:
    """Someone with a shell replaces the file, not a client."""
    [path] = web.upload(("a.png", png)).json()
    assert web.ask("GET", f"/gradio_api/file={path}").body == png
    Path(path).unlink()
    Path(path).symlink_to("/etc/hostname")
    refused(web.ask("GET", f"/gradio_api/file={path}"), 404, "not_found")
    Path(path).unlink()
    os.mkfifo(path)
    refused(web.ask("GET", f"/gradio_api/file={path}"), 404, "not_found")


def test_the_process_keeps_no_state_of_a_page(web: Web, png: bytes) -> None:
    """After all of it: alive, and nothing but uploads on the disk."""
    assert web.ask("GET", "/health").status == 200
    assert web.process.poll() is None
    kinds = {path.suffix for path in everything(web.uploads) if path.is_file()}
    assert kinds <= {".png"}
    assert json.loads(web.ask("GET", "/health").body) == {"status": "ok"}

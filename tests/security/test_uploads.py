"""Uploads are checked when they arrive, counted, and private (W13)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.errors import BodyTooLarge, InvalidPicture, NotFound, StorageFull
from tests.security.conftest import HELD, Web, refused
from ui.surface import KIB, MIB, UPLOAD_FILES
from ui.uploads import IDLE_S, LEAST_BYTES, Uploads, format_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
KINDS = {
    "png": PNG,
    "jpg": b"\xff\xd8\xff\xe0" + bytes(9),
    "gif": b"GIF89a" + bytes(9),
    "webp": b"RIFF\0\0\0\0WEBPVP8 ",
}
NO_PICTURES = [
    b"",
    b"\x89PNG",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"BM" + bytes(99),
    b"II*\0" + bytes(99),
    b"%PDF-1.7",
    b"GIF88a" + bytes(9),
    b"<html>",
    b"\0\0\1\0",
    b"RIFF\0\0\0\0WAVE",
    b"P6 1 1 255 \0\0\0",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"8BPS",
]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path, clock: Clock) -> Uploads:
    return Uploads(tmp_path / "edge", 8 * MIB, 2 * MIB, clock)


# --- the table ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_four_formats_are_known_by_their_first_bytes(
    uploads: Uploads, kind: str
) -> None:
    upload = uploads.add("me", "a", "holiday.exe", KINDS[kind])
    assert upload.path.name == f"holiday.{kind}"  # the bytes decide
    assert uploads.read("me", str(upload.path)) == KINDS[kind]


@pytest.mark.parametrize("data", NO_PICTURES)
def test_nothing_else_is_kept(uploads: Uploads, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidPicture):
        format_of(data)
    with pytest.raises(InvalidPicture):
        uploads.add("me", "a", "a.png", data)
    assert list((tmp_path / "edge").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x.png",
        "",
        ".",
        "..",
        ".bashrc",
        "a\0b",
        "é" * 300,
        "a" * 5000,
        "<script>.png",
        "a\nb.png",
        "\ud800",
    ],
)
def test_a_name_is_only_a_name(uploads: Uploads, tmp_path: Path, name: str) -> None:
    path = uploads.add("me", "a", name, PNG).path
    assert path.parent.parent == tmp_path / "edge"
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    assert len(path.name) <= 70 and path.name.isascii()


def test_an_upload_is_its_owners_alone(uploads: Uploads) -> None:
    path = str(uploads.add("me", "a", "a.png", PNG).path)
    for owner, other in (("you", path), ("", path), ("me", path + "/"), ("me", "/a")):
        with pytest.raises(NotFound):
            uploads.read(owner, other)
    # the same picture of another caller is another one
    assert str(uploads.add("you", "a", "a.png", PNG).path) != path


def test_an_address_has_its_share_and_no_more(uploads: Uploads) -> None:
    for i in range(2 * MIB // LEAST_BYTES):
        uploads.add(f"caller {i}", "one", "a.png", PNG)  # small ones count as well
    with pytest.raises(BodyTooLarge):
        uploads.add("another", "one", "a.png", PNG)
    uploads.add("another", "two", "a.png", PNG)


def test_all_together_have_a_share_of_the_disk(uploads: Uploads) -> None:
    for address in "abcd":
        uploads.add("me", address, "a.png", PNG + bytes(2 * MIB - 200))
    with pytest.raises(StorageFull):
        uploads.add("me", "e", "a.png", PNG)


def test_idle_uploads_make_room(uploads: Uploads, clock: Clock) -> None:
    used, idle = (uploads.add("me", "a", "a.png", PNG).path for _ in range(2))
    clock.now = IDLE_S - 1
    uploads.read("me", str(used))
    clock.now = IDLE_S + 1
    uploads.check_room("a", 0)
    assert used.exists() and not idle.parent.exists()
    with pytest.raises(NotFound):
        uploads.read("me", str(idle))


def test_a_full_disk_is_a_refusal_and_leaves_nothing(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        for _ in range(100):
            with pytest.raises(StorageFull):
                uploads.add("me", "a", "a.png", PNG)
    assert list((tmp_path / "edge").iterdir()) == []
    uploads.add("me", "a", "a.png", PNG)  # and later there is room again


def test_a_new_process_begins_with_an_empty_folder(
    uploads: Uploads, tmp_path: Path
) -> None:
    uploads.add("me", "a", "a.png", PNG)
    Uploads(tmp_path / "edge")
    assert list((tmp_path / "edge").iterdir()) == []


# --- over the wire ------------------------------------------------------------


def test_an_upload_is_shown_to_its_caller_only(web: Web, png: bytes) -> None:
    [path] = web.upload(("a.png", png)).json()
    shown = web.ask("GET", f"/gradio_api/file={path}")
    assert (shown.status, shown.body) == (200, png)
    assert shown.headers["Content-Type"] == "image/png"
    assert "private" in shown.headers["Cache-Control"]
    stranger = web.ask("GET", f"/gradio_api/file={path}", source="127.0.0.8")
    refused(stranger, 404, "not_found")


@pytest.mark.parametrize(
    "range", ["bytes=0-1-2", "bytes=-", "bytes=9-1", "x", "bytes=0-"]
)
def test_no_range_of_a_picture_breaks_anything(
    web: Web, png: bytes, range: str
) -> None:
    [path] = web.upload(("a.png", png)).json()
    assert web.ask("GET", f"/gradio_api/file={path}", range=range).status in (200, 206)


@pytest.mark.parametrize("data", NO_PICTURES)
def test_an_upload_that_is_not_a_picture_is_refused(web: Web, data: bytes) -> None:
    before = count(web)
    refused(web.upload(("a.png", data)), 400, "invalid_image")
    refused(web.upload(("a.png", PNG), ("b.png", data)), 400, "invalid_image")
    assert count(web) == before


def test_a_request_has_few_files(web: Web) -> None:
    several = [(f"{i}.png", PNG) for i in range(UPLOAD_FILES)]
    assert len(web.upload(*several, source="127.0.3.1").json()) == UPLOAD_FILES
    many = [(f"{i}.png", PNG) for i in range(UPLOAD_FILES + 1)]
    refused(web.upload(*many, source="127.0.3.1"), 413, "request_too_large")
    before = count(web)
    refused(web.upload(*many * 100, source="127.0.3.1"), 413, "request_too_large")
    assert count(web) == before


def test_an_address_cannot_fill_the_disk(web: Web) -> None:
    """100 MiB under any names; then 413. Other addresses still may."""
    large = PNG + os.urandom(24 * MIB)
    answers = [web.upload(("x.png", large), source="127.0.4.1") for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 4 + [413] * 2
    refused(answers[-1], 413, "request_too_large")
    assert web.upload(("x.png", PNG), source="127.0.4.2").status == 200


def test_nothing_stays_outside_the_folder(web: Web) -> None:
    """Gradio's own parser leaves what it was sent in /tmp."""
    before = set(web.log.parent.iterdir())
    web.upload(("x.png", PNG + bytes(3 * MIB)), source="127.0.4.3")
    web.upload(("x.png", b"no picture" + bytes(3 * MIB)), source="127.0.4.3")
    assert set(web.log.parent.iterdir()) == before


FORM = f"multipart/form-data; boundary={HELD}"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        (f"multipart/form-data; boundary={7000 * 'a'}", b"x"),
        ("multipart/form-data; boundary=\xff", b"x"),
        (FORM, b""),
        (FORM, b"nonsense"),
        (FORM, f"--{HELD}\r\n".encode()),
        (FORM, f"--{HELD}\r\n{9000 * 'a'}: b\r\n\r\n\r\n--{HELD}--".encode()),
        (FORM, f"--{HELD}\r\n: b\r\n\r\nx\r\n--{HELD}--".encode()),
        (FORM, f"--{HELD}--\r\n".encode()),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"files=a"),
        ("text/plain", b"a"),
        ("", b""),
    ],
)
def test_an_invalid_form_is_refused(web: Web, kind: str, body: bytes) -> None:
    answer = web.ask("POST", "/gradio_api/upload", body, content_type=kind)
    refused(answer, 400, "invalid_request")


def test_a_text_field_beside_the_files_is_refused(web: Web) -> None:
    field = (
        f'--{HELD}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{"x" * 100 * KIB}'
        f"\r\n--{HELD}--\r\n"
    )
    answer = web.ask("POST", "/gradio_api/upload", field.encode(), content_type=FORM)
    refused(answer, 400, "invalid_request")


def count(web: Web) -> int:
    return sum(1 for _ in web.uploads.rglob("*"))

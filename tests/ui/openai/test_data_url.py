"""Pictures in a body, as clients write them."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError, InvalidPicture, UrlNotAllowed
from ui.openai import data_url
from ui.openai.data_url import decode_base64, decode_picture

PNG = b"\x89PNG\r\n\x1a\n and so on"
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()

# --- pictures in URLs ---------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "data:image/png;base64,",
        "data:image/jpeg;base64,",
        "data:image/svg+xml;base64,",  # what it is, its bytes will say
        "DATA:IMAGE/PNG;BASE64,",
        "data:image/png;name=a.png;base64,",
    ],
)
@pytest.mark.parametrize("data", [PNG, b"", b"\xff\xfb\xff", bytes(range(256))])
def test_a_data_url_gives_its_bytes(header: str, data: bytes) -> None:
    assert decode_picture(header + base64.b64encode(data).decode()) == data


def test_pythons_way_to_write_bytes_is_named() -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG)!r}"
    with pytest.raises(InvalidPicture, match=r"\.decode\(\)"):
        decode_picture(url)


STANDARD = base64.b64encode(PNG).decode()
FORGIVEN = {
    "bare": STANDARD,
    "a space in front": " " + DATA_URL,
    "no type": "data:;base64," + STANDARD,
    "bytes of any type": "data:application/octet-stream;base64," + STANDARD,
    "another type": "data:text/plain;base64," + STANDARD,
    "lines": "data:image/png;base64," + base64.encodebytes(PNG * 9).decode(),
    "lines of Windows": "data:image/png;base64,"
    + base64.encodebytes(PNG).decode().replace("\n", "\r\n"),
    "blanks": "data:image/png;base64," + " ".join(STANDARD),
    "no padding": "data:image/png;base64," + STANDARD.rstrip("="),
    "for URLs": "data:image/png;base64," + base64.urlsafe_b64encode(PNG).decode(),
    "percent signs": "data:image/png;base64,"
    + STANDARD.replace("+", "%2B").replace("=", "%3D"),
}


@pytest.mark.parametrize("url", FORGIVEN.values(), ids=FORGIVEN)
def test_what_clients_write_is_understood(url: str) -> None:
    found = decode_picture(url)
    assert found == PNG or found == PNG * 9


REFUSED_URLS = {
    "https": ("https://example.com/a.png", UrlNotAllowed),
    "http": ("http://example.com/a.png", UrlNotAllowed),
    "ftp": ("ftp://example.com/a.png", UrlNotAllowed),
    "a file": ("file:///etc/passwd", UrlNotAllowed),
    "a file of mtmd": ("file://mtmd/../x", UrlNotAllowed),
    "gopher": ("gopher://127.0.0.1:6379/_FLUSHALL", UrlNotAllowed),
    "redis": ("redis://127.0.0.1", UrlNotAllowed),
    "metadata of a cloud": ("http://169.254.169.254/latest/", UrlNotAllowed),
    "loopback, IPv6": ("http://[::1]:6379", UrlNotAllowed),
    "loopback, hexadecimal": ("http://0x7f000001", UrlNotAllowed),
    "loopback, short": ("http://127.1", UrlNotAllowed),
    "loopback by name": ("http://localhost.evil", UrlNotAllowed),
    "a user in front": ("http://data:image@127.0.0.1/", UrlNotAllowed),
    "a path": ("/etc/passwd", InvalidPicture),
    "a long address": ("http://example.com/" + "a" * 1000, UrlNotAllowed),
    "nothing": ("", InvalidPicture),
    "nonsense": ("malformed", InvalidPicture),
    "not base64": ("data:image/png,hello", InvalidPicture),
    "base64 not last": ("data:image/png;base64;a=b,aGVsbG8=", InvalidPicture),
    "no comma": ("data:image/png;base64", InvalidPicture),
    "a scheme alone": ("data:", InvalidPicture),
    "two prefixes": ("data:image/png;base64," + DATA_URL, InvalidPicture),
    "one letter more": ("data:image/png;base64,aGVsb", InvalidPicture),
    "junk in base64": ("data:image/png;base64,aGVs*bG8=", InvalidPicture),
    "letters beyond ASCII": ("data:image/png;base64,aGVsé", InvalidPicture),
    "full-width letters": ("data:image/png;base64,ＡＡＡＡ", InvalidPicture),
    "half a character": ("data:image/png;base64,\ud800", InvalidPicture),
}


@pytest.mark.parametrize(("url", "kind"), REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_any_other_url_is_refused(url: str, kind: type[EdgeError]) -> None:
    with pytest.raises(EdgeError) as caught:
        decode_picture(url)
    assert type(caught.value) is kind
    assert caught.value.status == 400
    assert caught.value.code in ("url_not_allowed", "invalid_image")
    assert len(caught.value.message) < 200


@given(st.text("aA+/=*", max_size=14), st.binary(max_size=14))
def test_base64_in_pieces_is_read_as_a_whole(text: str, data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_url, "BASE64_PIECE", 4)
        assert decode_base64(base64.b64encode(data).decode()) == data
        try:
            found = decode_base64(text)
        except ValueError:
            return
    assert found == binascii.a2b_base64(text, strict_mode=True)

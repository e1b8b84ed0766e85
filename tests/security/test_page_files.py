"""The files of the page: compressed, never sent twice, and nothing of Gradio's name."""

from __future__ import annotations

import gzip
import json
import re

import brotli
import pytest

from tests.page.conftest import POLICY
from tests.security.conftest import Answer, Web, refused
from ui.page_files import VERSION, address

ICON = f"/{address('icons/icon.svg')}"


def document(web: Web) -> str:
    return web.ask("GET", "/").body.decode()


def assets(web: Web) -> list[str]:
    """The scripts and styles that the document names."""
    found = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', document(web))
    assert found
    return [f"/{path}" for path in found]


def unpacked(answer: Answer) -> bytes:
    match answer.headers["Content-Encoding"]:
        case "br":
            return bytes(brotli.decompress(answer.body))
        case "gzip":
            return gzip.decompress(answer.body)
    return answer.body


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br, zstd", "br"), ("gzip;q=1.0, deflate", "gzip"), ("", None)],
)
def test_texts_are_sent_in_the_smallest_form_that_the_client_reads(
    web: Web, accepted: str, coding: str | None
) -> None:
    for path in ("/", ICON, "/theme.css", *assets(web)):
        plain = web.ask("GET", path)
        answer = web.ask("GET", path, accept_encoding=accepted)
        assert answer.headers["Content-Encoding"] == coding
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert unpacked(answer) == plain.body
        if coding:
            assert len(answer.body) < len(plain.body)


def test_what_has_a_hash_in_its_address_is_never_asked_for_again(web: Web) -> None:
    style = re.search(r'"theme_hash":"(\w+)"', document(web))
    assert style
    for path in (ICON, f"/theme.css?v={style[1]}", *assets(web)):
        caching = web.ask("GET", path).headers["Cache-Control"]
        assert caching == "public, max-age=31536000, immutable"


def test_what_may_change_costs_no_body_while_it_has_not(web: Web) -> None:
    for path in ("/", "/theme.css", "/favicon.ico"):
        first = web.ask("GET", path)
        assert first.headers["Cache-Control"] == "no-cache"
        etag = first.headers["ETag"]
        again = web.ask("GET", path, if_none_match=etag)
        assert (again.status, again.body) == (304, b"")
        weak = web.ask("GET", path, if_none_match=f'"x", W/{etag}')
        assert weak.status == 304
        assert web.ask("GET", path, if_none_match='"x"').status == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/page/{'0' * 16}/icons/icon.svg",
        f"/page/{VERSION}/icons",
        f"/page/{VERSION}/icons/../../page_files.py",
        f"/page/{VERSION}//etc/passwd",
        f"/page/{VERSION}/package.json",
        "/assets/index.html",
        "/assets/..",
    ],
)
def test_other_files_are_not_served(web: Web, path: str) -> None:
    refused(web.ask("GET", path), 404, "not_found")


def test_the_page_does_not_carry_gradios_name_and_pictures(web: Web) -> None:
    head = document(web).partition("</head>")[0]
    for tag in re.findall(r"<(?:meta|link)[^>]*>", head):
        assert "radio" not in tag and "http" not in tag.replace("http://127", "")
    assert "iframeResizer" not in head
    assert '<meta property="og:title" content="Edge-VL">' in head


def test_a_preview_has_the_whole_address_of_its_picture(web: Web) -> None:
    found = re.search(r'property="og:image" content="([^"]+)"', document(web))
    assert found
    origin = f"http://127.0.0.1:{web.port}"
    assert found[1] == f"{origin}/{address('icons/preview.png')}"
    assert web.ask("GET", found[1].removeprefix(origin)).body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/vision", "vision/"),
        ("/team/vision/", "team/vision/"),
        (
            "//elsewhere.example/x",
            "elsewhere.example/x/",
        ),  # below this host all the same
        ('/"><script>', ""),
        ("/a b", ""),
        ("/" + "x/" * 999, ""),
    ],
)
def test_a_preview_below_a_path_is_there(web: Web, prefix: str, path: str) -> None:
    answer = web.ask("GET", "/", x_forwarded_prefix=prefix)
    found = re.search(r'property="og:image" content="([^"]+)"', answer.body.decode())
    assert found
    preview = address("icons/preview.png")
    assert found[1] == f"http://127.0.0.1:{web.port}/{path}{preview}"


def test_the_manifest_leads_to_the_page_and_our_icons(web: Web) -> None:
    path = f"/{address('site.webmanifest')}"
    answer = web.ask("GET", path)
    assert answer.headers["Content-Type"] == "application/manifest+json"
    manifest = json.loads(answer.body)
    assert manifest["start_url"] == "../../"  # from /page/{version}/
    for icon in manifest["icons"]:
        found = web.ask("GET", f"{path.rpartition('/')[0]}/{icon['src']}")
        assert (found.status, found.headers["Content-Type"]) == (200, icon["type"])


def test_a_script_of_the_page_passes_its_own_policy(web: Web) -> None:
    answer = web.ask("GET", "/")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    for source in POLICY.split("; "):
        assert source in policy  # under which hostile answers are tried
    assert len(re.findall("'sha256-", policy)) == len(
        re.findall(rb"<script(?![^>]*\bsrc=)", answer.body)
    )

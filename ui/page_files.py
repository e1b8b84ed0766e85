"""The files of the page: our modules in ui/page, and Gradio's assets.

The folder ui/page has one address, which contains the hash of all its files: modules
find one another by relative imports, and a browser never asks again for what it has.
Every file is compressed once, when it is first asked for.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import brotli
from fastapi import APIRouter, Request
from starlette.responses import Response

from edge.errors import NotFound

FOLDER = Path(__file__).with_name("page")
# Gradio itself is not imported here: see `ui.shell`.
_GRADIO = find_spec("gradio")
ASSETS = Path(str(_GRADIO and _GRADIO.origin)).parent / "templates/frontend/assets"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
PACKED = (".png", ".ico", ".woff2")  # compressed already
DEVELOPMENT = ("package.json", "package-lock.json", "tsconfig.json", "eslint.config.js")
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # with the ETag, which costs no body
BROTLI_QUALITY = 9  # 60 ms a megabyte; 11 takes twenty times as long for 8 % less


@dataclass(frozen=True)
class Content:
    """One file in all forms in which it is sent, by Content-Encoding."""

    media_type: str
    etag: str
    forms: dict[str, bytes]

    @classmethod
    def of(cls, data: bytes, suffix: str) -> Content:
        forms = {"identity": data}
        if suffix not in PACKED:
            forms["gzip"] = gzip.compress(data, 9, mtime=0)
            forms["br"] = brotli.compress(data, quality=BROTLI_QUALITY)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        return cls(TYPES[suffix], etag, forms)

    def response(self, http: Request, caching: str) -> Response:
        """In the smallest form that the client reads; 304 if it has the content."""
        headers = {
            "cache-control": caching,
            "etag": self.etag,
            "vary": "Accept-Encoding",
        }
        if self.etag in http.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        accepted = http.headers.get("accept-encoding", "")
        names = [part.partition(";")[0].strip() for part in accepted.split(",")]
        coding = next((c for c in ("br", "gzip") if c in names), "identity")
        if coding in self.forms and coding != "identity":
            headers["content-encoding"] = coding
        body = self.forms.get(coding, self.forms["identity"])
        return Response(body, headers=headers, media_type=self.media_type)


def _files() -> dict[str, Path]:
    """Those of ui/page that a browser may have, by their path in it."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    names = {path.relative_to(FOLDER).as_posix(): path for path in found}
    return {
        name: path
        for name, path in names.items()
        if path.name not in DEVELOPMENT and "node_modules" not in path.parts
    }


FILES = _files()


def _version() -> str:
    whole = hashlib.sha256()
    for name, path in FILES.items():
        whole.update(f"{name} {path.stat().st_size}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


VERSION = _version()


def address(name: str) -> str:
    """The address of a file of ui/page, relative to the page. Raises KeyError where
    there is none."""
    FILES[name]
    return f"page/{VERSION}/{name}"


@lru_cache(maxsize=2048)  # more than there are files
def _content(path: Path) -> Content:
    return Content.of(path.read_bytes(), path.suffix)


def page_file_routes() -> APIRouter:
    """The routes of these files. Plain functions, which FastAPI runs beside the event
    loop: a first answer compresses."""
    router = APIRouter()

    @router.get("/page/{version}/{name:path}")
    def page_file(version: str, name: str, http: Request) -> Response:
        if version != VERSION or name not in FILES:
            raise NotFound("This file is not part of the page. Load the page again.")
        return _content(FILES[name]).response(http, FOR_EVER)

    @router.get("/assets/{name}")
    def asset(name: str, http: Request) -> Response:
        """One of Gradio's, whose names contain a hash."""
        path = ASSETS / name
        if path.suffix not in TYPES or not path.is_file():
            raise NotFound("This file is not part of the page. Load the page again.")
        return _content(path).response(http, FOR_EVER)

    @router.get("/favicon.ico")
    def icon(http: Request) -> Response:
        """For programs that do not read the page's own link to its icon."""
        return _content(FILES["icons/favicon.ico"]).response(http, ASK_AGAIN)

    return router

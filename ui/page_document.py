"""The page's document: Gradio's shell with our head, and its policy.

The shell begins with inline scripts, so the policy names their hashes. Styles stay
inline: Gradio writes them.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from edge.errors import SetupError
from ui.own_address import base_url, rooted
from ui.page_files import ASK_AGAIN, FOR_EVER, VERSION, Content, address

INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)

# No pictures from other sites: an answer could send the conversation away in the URL of
# one.
POLICY = (
    "default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-src 'none'; "
    "media-src blob:; object-src 'none'; frame-ancestors 'none'"
)

ABOUT = "Ask about pictures, on a server of your own."
# What Gradio writes about itself, and a script for pages in frames, which this one
# cannot be.
GRADIOS = re.compile(
    rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*'
    rb'|<link rel="manifest"[^>]*>\s*'
    rb"|<script>(?:(?!</script>).)*iframeResizer\.contentWindow(?:(?!</script>).)*"
    rb"</script>\s*",
    re.DOTALL,
)
SHELL = Path(__file__).with_name("shell.py")
RENDER_S = 120.0  # it takes three seconds, or many on a busy machine


@dataclass(frozen=True)
class Shell:
    """What `ui.shell` renders."""

    document: str
    theme_css: str
    theme_hash: str


def render_shell(cache: Path) -> Shell:
    """Runs `ui.shell`, unless the file `cache` has its result from an earlier start: so
    a web process that was killed is back in a second. Raises SetupError."""
    script = hashlib.sha256(SHELL.read_bytes()).hexdigest()
    key = f"{version('gradio')} {VERSION} {script}"
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found = json.loads(cache.read_bytes())
        if found.pop("key") == key:
            return Shell(**found)
    command = [sys.executable, "-m", "ui.shell"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=RENDER_S)
        rendered = json.loads(done.stdout)
        shell = Shell(**rendered)
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        raise SetupError(
            "The page cannot be rendered. See why: `python -m ui.shell`."
        ) from error
    with suppress(OSError):  # a folder that only others may write to
        cache.parent.mkdir(parents=True, exist_ok=True)
        new = cache.with_name(f"{cache.name}.{os.getpid()}")
        new.write_text(json.dumps(rendered | {"key": key}))
        new.replace(cache)
    return shell


def policy(document: bytes) -> str:
    """The policy for a document: its own inline scripts run, and no other."""
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(document))
    hashes = "".join(f" 'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return POLICY.format(hashes=hashes)


def with_our_head(document: bytes, its_url: str) -> bytes:
    """Gradio's document with our icons, manifest and link preview. A preview is read
    by other programs, which need the whole address of its picture."""
    preview = html.escape(its_url + address("icons/preview.png"))
    # with cookies: behind keys, nobody else gets the manifest
    head = (
        f'<meta name="description" content="{ABOUT}">'
        '<meta property="og:type" content="website">'
        '<meta property="og:title" content="Edge-VL">'
        f'<meta property="og:description" content="{ABOUT}">'
        f'<meta property="og:image" content="{preview}">'
        '<meta name="twitter:card" content="summary_large_image">'
        f'<link rel="icon" type="image/svg+xml" href="{address("icons/icon.svg")}">'
        '<link rel="apple-touch-icon" '
        f'href="{address("icons/apple-touch-icon.png")}">'
        '<link rel="manifest" crossorigin="use-credentials" '
        f'href="{address("site.webmanifest")}">'
    )
    bare = GRADIOS.sub(b"", document)
    return bare.replace(b"</head>", head.encode() + b"</head>", 1)


def page_routes(shell: Shell) -> APIRouter:
    """The page and its theme."""
    router = APIRouter()
    theme = Content.of(shell.theme_css.encode(), ".css")

    @lru_cache(maxsize=16)  # by address of the page
    def finish(its_url: str) -> tuple[Content, str]:
        whole = rooted(with_our_head(shell.document.encode(), its_url))
        return Content.of(whole, ".html"), policy(whole)

    @router.get("/")
    async def page(http: Request) -> Response:
        prefix = http.headers.get("x-forwarded-prefix", "")
        content, its_policy = finish(base_url(str(http.base_url), prefix))
        response = content.response(http, ASK_AGAIN)
        response.headers["content-security-policy"] = its_policy
        return response

    @router.get("/theme.css")
    async def style(http: Request) -> Response:
        is_same = http.query_params.get("v") == shell.theme_hash
        return theme.response(http, FOR_EVER if is_same else ASK_AGAIN)

    return router

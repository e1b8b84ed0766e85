"""The page's HTML on its way out: our head instead of Gradio's, a policy, compressed.

Gradio's page begins with inline scripts whose text depends on the request, so the
policy of each answer names the hashes of its own. Styles stay inline: Gradio writes
them.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.own_address import rooted
from ui.page_files import ASK_AGAIN, Content, address
from ui.surface import find

INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)

# No pictures from other sites: an answer could send the conversation away in the URL of
# one.
POLICY = (
    "default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-src 'none'; "
    "media-src 'none'; object-src 'none'; frame-ancestors 'none'"
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


def policy(document: bytes) -> str:
    """The policy for a document: its own inline scripts run, and no other."""
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(document))
    hashes = "".join(f" 'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return POLICY.format(hashes=hashes)


def with_our_head(document: bytes, base_url: str) -> bytes:
    """Gradio's document with our icons, manifest and link preview. A preview is read
    by other programs, which need the whole address of its picture."""
    preview = html.escape(base_url + address("icons/preview.png"))
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


@lru_cache(maxsize=16)  # by address of the server and language
def _finished(document: bytes, base_url: str) -> tuple[Content, str]:
    whole = rooted(with_our_head(document, base_url))
    return Content.of(whole, ".html"), policy(whole)


class PageDocument:
    """Finishes the HTML of the page; any other HTML of `app` only gets a policy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        pieces: list[bytes] = []

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = Headers(scope=message).get("content-type", "")
                if kind.startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                pieces.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                await _send_document(scope, receive, send, start, b"".join(pieces))
                return
            await send(message)

        await self._app(_uncompressed(scope), receive, hold)


async def _send_document(
    scope: Scope, receive: Receive, send: Send, start: Message, document: bytes
) -> None:
    headers = MutableHeaders(scope=start)
    if scope["path"] != "/" or start["status"] != 200:
        headers.setdefault("content-security-policy", policy(document))
        await send(start)
        await send({"type": "http.response.body", "body": document})
        return
    http = Request(scope)
    content, its_policy = _finished(document, str(http.base_url))
    response = content.response(http, ASK_AGAIN)
    response.headers["content-security-policy"] = its_policy
    for cookie in headers.getlist("set-cookie"):
        response.headers.append("set-cookie", cookie)
    await response(scope, receive, send)


def _uncompressed(scope: Scope) -> Scope:
    """The hashes need the uncompressed document."""
    route = find(scope["path"])
    if route is None or not route.is_page:
        return scope
    headers = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
    return {**scope, "headers": headers}

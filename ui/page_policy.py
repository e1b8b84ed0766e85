"""The Content-Security-Policy of the page.

Gradio's page begins with inline scripts whose text depends on the request, so each
answer names the hashes of its own. Styles stay inline: Gradio writes them.
"""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.own_address import rooted
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


def policy(document: bytes) -> str:
    """The policy for a document: its own inline scripts run, and no other."""
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(document))
    hashes = "".join(f" 'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return POLICY.format(hashes=hashes)


class PagePolicy:
    """Puts the policy on every HTML answer of `app`."""

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
                document = rooted(b"".join(pieces))
                headers = MutableHeaders(scope=start)
                headers.setdefault("content-security-policy", policy(document))
                headers["content-length"] = str(len(document))
                await send(start)
                message = {"type": "http.response.body", "body": document}
            await send(message)

        await self._app(_uncompressed(scope), receive, hold)


def _uncompressed(scope: Scope) -> Scope:
    """The hashes need the uncompressed document."""
    route = find(scope["path"])
    if route is None or not route.is_page:
        return scope
    headers = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
    return {**scope, "headers": headers}

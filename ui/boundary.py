"""The outermost layer of the web process: requests outside `ui.surface` end here.

It stands around every framework: checks Host and Origin, answers unknown paths and
methods, counts bodies, and lets no exception reach uvicorn, which would close the
connection that nginx keeps for other people's requests.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.errors import BodyTooLarge, EdgeError, MethodNotAllowed, NotFound
from ui.error_shape import error_body, headers_of
from ui.meter import RATE_LIMITS
from ui.origins import Origins
from ui.surface import HINTS, Route, find

log = logging.getLogger(__name__)

# Response headers that a script of an allowed origin may read: what OpenAI's client in
# a browser decides by, and what is told nowhere else.
EXPOSED = ", ".join(
    (
        *("retry-after", "retry-after-ms", "x-should-retry"),
        *("x-cache", "x-job-id", "x-request-id", "x-video"),
        *RATE_LIMITS,
    )
)
ASKED_HEADERS = re.compile("[a-z0-9-]{1,64}( *, *[a-z0-9-]{1,64}){0,63}", re.I)
REQUEST_ID = re.compile("[A-Za-z0-9._-]{1,64}")
# For answers that are not documents; `ui.page_document` has that of the page.
POLICY = "default-src 'none'; frame-ancestors 'none'"


class Boundary:
    """`app` behind its surface."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        own = self._cors(origin) | {"x-request-id": request_id(headers)}
        sender = ResponseSender(send, scope["path"], own)
        try:
            route = self._route(scope, headers, origin)
            if scope["method"] == "OPTIONS":
                await sender.preflight(route, headers)
                return
            if scope["method"] == "HEAD":  # as GET; the server sends no body
                scope = {**scope, "method": "GET"}
            body = Body(receive, route.body, sender)
            await self._app(scope, body.receive, sender.send)
        except EdgeError as refusal:
            await sender.refuse(refusal)
        except Exception as error:
            log_failure(scope, error)
            await sender.refuse(EdgeError("Something went wrong here. Try again."))

    def _cors(self, origin: str | None) -> dict[str, str]:
        if origin is None or origin.lower() not in self._origins.cors:
            return {"cross-origin-resource-policy": "same-origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": EXPOSED,
            "vary": "Origin",
        }

    def _route(self, scope: Scope, headers: Headers, origin: str | None) -> Route:
        """The route of a request. Raises the EdgeError that refuses it."""
        method, path = scope["method"], scope["path"]
        route = find(path)
        refusal = self._origins.refusal(
            headers.get("host", ""),
            origin,
            headers.get("sec-fetch-site"),
            is_link=route is not None and route.is_page and method in ("GET", "HEAD"),
        )
        if refusal:
            raise refusal
        if route is None:
            raise NotFound(f"There is no {method[:20]} {path[:200]} here.{hint(path)}")
        is_preflight = (
            method == "OPTIONS"
            and origin is not None
            and origin.lower() in self._origins.cors
        )
        if method not in route.methods and not is_preflight:
            allowed = ", ".join(route.methods)
            raise MethodNotAllowed(
                f"{path[:200]} answers {allowed}, not {method[:20]}."
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > route.body:
            raise too_large(route.body)
        return route


class ResponseSender:
    """Sends the response to one request, with the headers that all responses have."""

    def __init__(self, send: Send, path: str, headers: dict[str, str]) -> None:
        self._send = send
        self._path = path
        self._headers = headers
        self._has_begun = False
        self._is_over = False
        self.instead: EdgeError | None = None  # in place of the framework's own answer

    async def send(self, message: Message) -> None:
        if self.instead is not None and not self._has_begun:
            error, self.instead = self.instead, None
            await self.refuse(error)
            self._is_over = True
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", POLICY)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "same-origin")
            for name, value in self._headers.items():
                headers[name] = value
        await self._send(message)

    async def refuse(self, error: EdgeError) -> None:
        """Sends an error in the shape of the path's API. An answer that has begun is
        cut off instead, which its reader notices."""
        if self._has_begun:
            return
        body = json.dumps(error_body(error, self._path)).encode()
        headers = headers_of(error) | {"content-type": "application/json"}
        headers["content-length"] = str(len(body))
        if isinstance(error, MethodNotAllowed) and (route := find(self._path)):
            headers["allow"] = ", ".join(route.methods)
        await self._whole(error.status, headers, body)

    async def preflight(self, route: Route, asked: Headers) -> None:
        """Allows the request: only an allowed origin comes here."""
        headers = {"access-control-allow-methods": ", ".join(route.methods)}
        names = asked.get("access-control-request-headers", "")
        if ASKED_HEADERS.fullmatch(names):
            headers["access-control-allow-headers"] = names
        headers["access-control-max-age"] = "600"
        await self._whole(204, headers, b"")

    async def _whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        raw = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
        start = {"type": "http.response.start", "status": status, "headers": raw}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})


class Body:
    """A request's body, up to `most` bytes: a chunked one has no Content-Length."""

    def __init__(self, receive: Receive, most: int, sender: ResponseSender) -> None:
        self._receive = receive
        self._most = most
        self._reply = sender
        self._n_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._n_bytes += len(message.get("body", b""))
        if self._n_bytes > self._most:
            self._reply.instead = too_large(self._most)
            raise self._reply.instead
        return message


def request_id(headers: Headers) -> str:
    """The name of a request in the log of the proxy in front, else a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def hint(path: str) -> str:
    """Where a path leads that was meant to be one of the API's."""
    path = re.sub("//+", "/", path)
    for meant in (path, "/v1" + path, path.removeprefix("/v1")):
        if find(meant):
            return f" Use {meant[:200]}."
    return f" {next(text for start, text in HINTS.items() if path.startswith(start))}"


def too_large(most: int) -> BodyTooLarge:
    if not most:
        return BodyTooLarge("A request to this address has no body.")
    return BodyTooLarge(f"The request is larger than {most / (1 << 20):.3g} MiB.")


def log_failure(scope: Scope, error: Exception) -> None:
    """Logs where an error happened, without its message, which may quote a payload."""
    stack = "".join(traceback.format_tb(error.__traceback__))
    what = f"{scope['method']} {scope['path'][:100]!r}"
    log.error("%s failed: %s\n%s", what, type(error).__name__, stack)

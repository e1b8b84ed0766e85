"""Decides the caller of every request, once: by a key, else by a session.

Where the server has keys, a request without one gets the paths in PUBLIC, and nothing
else. Where it has none, all callers are one tenant, and rights over jobs belong
to the session that the server began, or to the address and the key that was sent.
"""

from __future__ import annotations

import hmac
import ipaddress
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, Forbidden, Unauthorized
from edge.exposure import metrics_readers
from edge.jobs.logins import Logins
from edge.keys import Key, Keys
from edge.settings import Settings
from ui.audit import write_line
from ui.error_handlers import response_to
from ui.own_address import relative
from ui.session import COOKIE, CSRF_HEADER, NO_KEY, Session, set_cookie, sign

PUBLIC = ("/health", "/ready", "/login", "/v1/openapi.json")
SAFE = ("GET", "HEAD", "OPTIONS")
# A browser that follows a link on another site sends no cookie. This page belongs to
# the server, so the request that it makes at once carries the cookie.
AGAIN = '<!doctype html><meta http-equiv="refresh" content="0; url=./">'


class Door:
    """ASGI middleware: puts `caller`, `key` and `session` into the state of a request.

    `key` is the Key that was sent, None where the server has none; `session` is None
    for programs. All three are None for an unknown caller at a PUBLIC path.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Keys, logins: Logins
    ) -> None:
        self._app = app
        self._keys = keys
        self._logins = logins
        self._audits = settings.audit
        self._logged = float("-inf")
        self._shares_all = settings.share == "all"
        self._metrics_from = [*map(ipaddress.ip_network, metrics_readers(settings))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"caller": None, "key": None, "session": None, "ratelimit": {}}
        headers = Headers(scope=scope)
        try:
            answer = await self._enter(scope, headers, state)
        except EdgeError as refusal:
            answer = response_to(refusal, scope["path"])
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in state["ratelimit"].items():
                    added[name] = value
                if cookie := state.get("new_cookie"):
                    added.append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_with_limits)

    async def _enter(
        self, scope: Scope, headers: Headers, state: dict[str, Any]
    ) -> Response | None:
        """Fills the state; a response if the request goes no further."""
        path, address = scope["path"], address_of(scope)
        if path == "/health":
            return None
        reads_metrics = path == "/metrics"
        if reads_metrics and self._may_read_metrics(scope):
            return None
        is_known = True
        if self._keys.look():
            is_known = await self._enter_with_key(scope, headers, address, state)
        else:
            await self._enter_open(scope, headers, address, state)
        if is_known and reads_metrics and not is_admin(state["key"]):
            raise Forbidden(
                "Metrics need an admin key, or an address in EDGE_METRICS_FROM."
            )
        if is_known:
            return None
        if path in PUBLIC:
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            if headers.get("sec-fetch-site") == "cross-site":
                return HTMLResponse(AGAIN)
            return RedirectResponse(relative(path, "login"), status_code=303)
        raise Unauthorized(
            "Send a key of this server as `Authorization: Bearer KEY`. Its operator "
            "makes one with `edge keys create NAME`."
        )

    async def _enter_open(
        self, scope: Scope, headers: Headers, address: str, state: dict[str, object]
    ) -> None:
        secret = await self._logins.secret()
        session = _session(headers, secret)
        authorization = headers.get("authorization", headers.get("x-api-key", ""))
        if session is None and scope["path"] == "/" and not authorization:
            session = Session.begin(NO_KEY, time.time())
            cookie = session.cookie(secret)
            state["new_cookie"] = set_cookie(COOKIE, cookie, secure=is_secure(scope))
        if session is not None and not authorization:
            name = sign(secret, "session caller", session.id)
        else:
            name = sign(secret, "address caller", f"{address} {authorization}")
        scope_name = "all" if self._shares_all else name
        state |= {
            "caller": Caller(ANONYMOUS, name[:32], address, scope_name[:32]),
            "session": session,
        }

    async def _enter_with_key(
        self, scope: Scope, headers: Headers, address: str, state: dict[str, object]
    ) -> bool:
        """False for an unknown caller. Raises Unauthorized for a key that is not
        valid."""
        session = None
        if (presented := presented_key(headers)) is not None:
            if (key := self._keys.find(presented)) is None:
                self._log(address)
                raise Unauthorized(
                    "This key is not valid here. Ask the operator of this server for "
                    "another."
                )
            name = f"key {key.id}"
        elif COOKIE in headers.get("cookie", ""):
            secret = await self._logins.secret()
            session = _session(headers, secret)
            key = self._keys.valid(session.key_id) if session else None
            if session is None or key is None:
                return False
            if await self._logins.has_ended(session.key_id, session.id, session.ends):
                return False
            _check_origin(scope, headers, session.csrf_token(secret))
            name = sign(secret, "session caller", session.id)[:32]
        else:
            return False
        shared = "all" if self._shares_all else key.id
        caller = Caller(key.id, name, address, shared)
        state |= {"caller": caller, "key": key, "session": session}
        return True

    def _log(self, address: str) -> None:
        """Logs a key that was guessed or revoked, once a second at most."""
        now = time.monotonic()
        if self._audits and now - self._logged > 1:  # a flood must not fill the log
            self._logged = now
            unknown = Caller("", "", address, "")
            write_line(unknown, "", "refused", Unauthorized.code)

    def _may_read_metrics(self, scope: Scope) -> bool:
        host = scope["client"][0] if scope.get("client") else ""
        try:
            found = ipaddress.ip_address(host)
        except ValueError:  # a Unix socket that only this machine can reach
            return not host
        return any(found in network for network in self._metrics_from)


def address_of(scope: Scope) -> str:
    """The origin of a request: an IPv4 address, the /64 of an IPv6 one, which is what
    one customer of a provider gets, or `local`."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64] or "local"
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def presented_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer` or `x-api-key`; None where neither is."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme:
        return key.strip() if scheme.lower() == "bearer" else ""
    return headers.get("x-api-key")


def is_secure(scope: Scope) -> bool:
    return bool(scope["scheme"] == "https")


def is_admin(key: Key | None) -> bool:
    return key is not None and key.is_admin


def cookie_of(headers: Headers, name: str) -> str:
    """Of all that a browser sends to this host: other programs there have some too, and
    not all are well-formed."""
    return cookie_parser(headers.get("cookie", "")[:8192]).get(name, "")


def _session(headers: Headers, secret: bytes) -> Session | None:
    return Session.read(cookie_of(headers, COOKIE), secret, time.time())


def _check_origin(scope: Scope, headers: Headers, token: str) -> None:
    """A browser sends its cookie with every request that any page makes it send. So a
    request that changes something must prove that a page of this server made it.

    Raises Forbidden.
    """
    if scope["method"] in SAFE:
        return
    origin = headers.get("origin", "").partition("://")[2]
    if origin and origin == headers.get("host", ""):
        return
    if hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), token.encode()):
        return
    raise Forbidden(
        "This request was not made by a page of this server. Reload the page."
    )

"""Checks requests to Gradio's routes and rebuilds them, behind the door.

A page that calls /v1 itself will need none of this: then the module goes, and with it
`ui.payloads` and `ui.sessions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.caller import Caller
from edge.errors import ClientLimit, EdgeError, InvalidRequest, NotFound
from ui import payloads
from ui.error_handlers import headers_of
from ui.request_caller import caller_of
from ui.sessions import Sessions
from ui.uploads import Uploads

Headers = list[tuple[bytes, bytes]]

# Events that no page has read so far: of a page, of an address, in all.
UNHEARD, UNHEARD_OF_ADDRESS, UNHEARD_IN_ALL = 8, 64, 128


class Guard:
    """`app`, which serves `page`; it gets only what the page may send."""

    def __init__(self, app: ASGIApp, page: gr.Blocks, uploads: Uploads) -> None:
        self._app = app
        self._page = page
        self._uploads = uploads
        self._functions = functions_of(page)
        self._sessions = Sessions(self._forget)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": without(b"origin", scope["headers"])}
        if scope["path"] == "/":  # Gradio would read a page's state by a query
            scope["query_string"] = b""
        try:
            if scope["path"].startswith("/gradio_api/"):
                scope, receive = await self._rebuild(scope, receive)
        except EdgeError as refusal:
            # `detail` is the field that Gradio's page shows
            body = refusal.body() | {"detail": refusal.message}
            answer = JSONResponse(body, refusal.status, headers_of(refusal))
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _rebuild(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """The request, made again of its checked parts. Raises an EdgeError if it is
        refused."""
        caller = caller_of(HTTPConnection(scope))
        match scope["path"]:
            case "/gradio_api/queue/join":
                body = self._rebuild_call(await read_body(receive), caller)
                return replay(scope, receive, body)
            case "/gradio_api/cancel":
                body = self._rebuild_cancel(await read_body(receive), caller)
                return replay(scope, receive, body)
            case "/gradio_api/queue/data":
                session = self._session_of_reader(scope, caller)
                return {**scope, "query_string": f"session_hash={session}".encode()}, (
                    receive
                )
        return scope, receive

    def _rebuild_call(self, body: bytes, caller: Caller) -> Mapping[str, Any]:
        def find(path: str) -> payloads.File:
            return self._uploads.find(caller.name, path)

        joined = payloads.rebuild_call(payloads.parse(body), self._functions, find)
        session = joined["session_hash"]
        self._sessions.use(session, caller)
        self._check_heard(session, caller)
        return joined

    def _check_heard(self, session: str, caller: Caller) -> None:
        """Each event holds a conversation until its page has read it. Raises
        ClientLimit; when all pages together are behind, the furthest behind is dropped.
        """

        def n_unheard(page: str) -> int:
            return len(self._queue.pending_event_ids_session.get(page, ()))

        pages = self._sessions.of_address(caller.address)
        here = sum(map(n_unheard, pages))
        if n_unheard(session) >= UNHEARD or here >= UNHEARD_OF_ADDRESS:
            raise ClientLimit("This page has stopped reading its answers. Reload it.")
        self._sessions.give_up(n_unheard, UNHEARD_IN_ALL)

    def _rebuild_cancel(self, body: bytes, caller: Caller) -> Mapping[str, Any]:
        asked = payloads.parse(body)
        session, event = payloads.session_of(asked), asked.get("event_id")
        self._sessions.use(session, caller)
        number = asked.get("fn_index")
        if type(number) is not int or number not in self._functions:
            raise NotFound("There is no such function.")
        if not isinstance(event, str):
            raise InvalidRequest(
                "event_id must be the id of an event.", param="event_id"
            )
        if event not in self._queue.pending_event_ids_session.get(session, ()):
            session = event = ""  # it has ended, and another one may run now
        return {"session_hash": session, "fn_index": number, "event_id": event}

    def _session_of_reader(self, scope: Scope, caller: Caller) -> str:
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
        except ValueError:
            raise InvalidRequest("The query of this request cannot be read.") from None
        [named, *_] = query.get("session_hash", [""])
        session = payloads.session_of({"session_hash": named})
        self._sessions.use(session, caller)
        if session not in self._queue.pending_messages_per_session:
            raise NotFound("There is no such session.")
        return session

    @property
    def _queue(self) -> Any:
        return self._page._queue

    def _forget(self, session: str) -> None:
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
        holder = self._page.state_holder
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)


def functions_of(page: gr.Blocks) -> dict[int, str]:
    """The functions of `page` that a browser may call, by number: those with a shape.
    Functions that Gradio adds by itself have none."""
    return {
        number: str(function.api_name)
        for number, function in page.fns.items()
        if function.api_name in payloads.SHAPES
    }


def without(name: bytes, headers: Headers) -> Headers:
    """The other headers. Without Origin Gradio's middleware applies no rules of its own
    to other sites: those of `ui.boundary` hold."""
    return [header for header in headers if header[0] != name]


async def read_body(receive: Receive) -> bytes:
    """The whole body; `ui.boundary` has bounded it."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def replay(
    scope: Scope, receive: Receive, body: Mapping[str, Any]
) -> tuple[Scope, Receive]:
    """The request with another body."""
    raw = json.dumps(body).encode()
    scope = {**scope, "headers": [*scope["headers"]], "query_string": b""}
    headers = MutableHeaders(scope=scope)
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(raw))
    is_sent = False

    async def again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return scope, again

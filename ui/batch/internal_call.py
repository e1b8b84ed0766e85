"""A request of a batch, answered by the same routes as one that comes over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.types import ASGIApp, Message, Scope

from edge.caller import Caller
from edge.errors import DeadlineExceeded, EdgeError
from edge.keys import Key
from ui.boundary import log_failure
from ui.error_shape import error_body


@dataclass(frozen=True)
class Result:
    """The status and the JSON body of a response. After `retry_after_s`, trying again
    may help; 0: it would not."""

    status: int
    body: dict[str, Any]
    retry_after_s: int = 0


async def post(
    routes: ASGIApp, path: str, body: bytes, caller: Caller, key: Key | None
) -> Result:
    """What `routes` answer to a request of `caller`, which the door has let in before
    with this `key`."""
    sent = bytearray()
    status = 0
    has_read = False

    async def receive() -> Message:
        nonlocal has_read
        if has_read:  # this client never hangs up
            await asyncio.Event().wait()
        has_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            sent.extend(message.get("body", b""))

    headers = {"content-type": "application/json", "content-length": str(len(body))}
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        "server": None,
        "client": None,
        "state": {"caller": caller, "key": key, "session": None, "ratelimit": {}},
    }
    try:
        await AsyncExitStackMiddleware(routes)(scope, receive, send)
    except EdgeError as refusal:
        is_full = refusal.status in (429, 503) and not refusal.is_final
        may_pass = is_full or isinstance(refusal, DeadlineExceeded)
        pause = refusal.retry_after_s or (5 if may_pass else 0)
        return Result(refusal.status, error_body(refusal, path), pause)
    except Exception as error:  # a bug ends this line, not the batch
        log_failure(scope, error)
        failure = EdgeError("Something went wrong here.")
        return Result(failure.status, error_body(failure, path))
    return Result(status, json.loads(sent))

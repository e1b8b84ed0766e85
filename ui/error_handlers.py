"""Exception handlers: every error in the shape that the clients of its API read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from edge.errors import (
    EdgeError,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from ui.error_shape import error_body
from ui.metrics import Metrics

MAX_COMPLAINT = 300  # characters


def add_error_handlers(app: FastAPI, metrics: Metrics) -> None:
    """Answers every exception on any route of `app` in that shape.

    Counts bodies that FastAPI refuses; `ui.body` counts its own refusals.
    """

    async def refuse_fields(http: Request, error: Exception) -> Response:
        """FastAPI's refusals: values in the query, small bodies that it reads."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        kind, *location = first["loc"]
        body = error.body if kind == "body" else dict.fromkeys(location, "")
        if first["type"] == "json_invalid" or (
            kind == "body" and not location and first["type"] == "missing"
        ):
            refusal: InvalidRequest = InvalidJson("The body is not valid JSON.")
        else:
            refusal = complaint(first, location, body)
        if kind == "body":
            metrics.refused(refusal, getattr(http.state, "caller", None))
        return await _refuse(http, refusal)

    app.add_exception_handler(EdgeError, _refuse)
    app.add_exception_handler(RequestValidationError, refuse_fields)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Exception, _refuse_unknown)


async def _refuse_http(http: Request, error: Exception) -> Response:
    """Starlette's own refusals: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    kinds = {404: NotFound, 405: MethodNotAllowed}
    kind = kinds.get(error.status_code, InvalidRequest)
    refusal = kind(f"{http.method} {http.url.path[:200]}: {error.detail}.")
    body = error_body(refusal, http.url.path)
    return JSONResponse(body, error.status_code, error.headers)


async def _refuse(http: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeError)
    return response_to(error, http.url.path)


def response_to(error: EdgeError, path: str) -> Response:
    """The response with `error` to a request of `path`."""
    return JSONResponse(error_body(error, path), error.status, headers_of(error))


def headers_of(error: EdgeError) -> dict[str, str]:
    """The headers of a response that holds `error`."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
        headers["retry-after-ms"] = str(
            error.retry_after_ms
        )  # OpenAI's clients read it
    if error.is_final:  # otherwise OpenAI's clients try two more times
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def complaint(
    error: Mapping[str, Any], location: Sequence[int | str], body: Any
) -> InvalidRequest:
    """pydantic's complaint about what is at `location` in `body`, as one sentence with
    the path of the field."""
    param = field_path(location, body, _absent(error))
    message = error["msg"]
    if len(message) > MAX_COMPLAINT:  # it repeats what the client sent
        message = message[:MAX_COMPLAINT] + " …"
    message = f"{param or 'The body'}: {message}."
    return InvalidRequest(message, param=param)


async def _refuse_unknown(http: Request, _error: Exception) -> Response:
    """A bug: uvicorn logs the traceback, the client gets a sentence."""
    return await _refuse(http, EdgeError("Something went wrong here. Try again."))


def _absent(error: Any) -> str | None:
    """The field that the error is about, where it is not the location's last step:
    pydantic blames the whole message or part for a role or type it does not know."""
    match error["type"]:
        case "missing":
            return str(error["loc"][-1])
        case "union_tag_invalid" | "union_tag_not_found":
            return str(error["ctx"]["discriminator"]).strip("'")
    return None


def field_path(
    location: Sequence[int | str], body: Any, absent: str | None = None
) -> str | None:
    """`messages[0].content` for where in `body` an error is; None for the whole body.

    pydantic's location also names the members of unions it tried. Walking along the
    body leaves them out: they are not keys in it, except the kind of a message or
    part, which follows its index. `absent` is a field that is not in the body, or
    should not be as it is.
    """
    path, here, is_item = "", body, False
    if location and location[-1] == absent:  # null counts as absent
        location = location[:-1]
    for step in location:
        is_kind = is_item and step in (here.get("role"), here.get("type"))
        is_item = False
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
            is_item = isinstance(here, dict)
        elif isinstance(here, dict) and step in here and not is_kind:
            path, here = f"{path}.{step}" if path else str(step), here[step]
    if absent is not None:
        path = f"{path}.{absent}" if path else absent
    return path or None

"""Every error that leaves the web process, in the shape that OpenAI clients read."""

from __future__ import annotations

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
    NotFound,
    Unavailable,
)
from ui.metrics import Metrics

MAX_COMPLAINT = 300  # characters


def add_refusals(app: FastAPI, metrics: Metrics) -> None:
    """Answers every exception on any route of `app` in that shape.

    Counts bodies that never became a question; of a question, its own clock knows.
    """

    async def refuse_body(http: Request, error: Exception) -> Response:
        refusal = _complaint(error)
        metrics.refused(refusal, getattr(http.state, "caller", None))
        return response_to(refusal)

    async def refuse_http(http: Request, error: Exception) -> Response:
        """Starlette's own refusals: unknown paths, wrong methods."""
        assert isinstance(error, HTTPException)
        kinds = {404: NotFound, 503: Unavailable}
        kind = kinds.get(error.status_code, InvalidRequest)
        refusal = kind(f"{http.method} {http.url.path[:200]}: {error.detail}.")
        if error.status_code == 400:  # FastAPI's word for a body that broke its parser
            metrics.refused(refusal, getattr(http.state, "caller", None))
        return JSONResponse(refusal.body(), error.status_code, error.headers)

    app.add_exception_handler(EdgeError, _refuse)
    app.add_exception_handler(RequestValidationError, refuse_body)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(Exception, _refuse_unknown)


def response_to(error: EdgeError) -> Response:
    """The response that tells `error`."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if error.is_final:  # OpenAI's clients ask a second and a third time otherwise
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers)


async def _refuse(_http: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeError)
    return response_to(error)


def _complaint(error: Exception) -> InvalidRequest:
    """pydantic's first complaint, as one sentence with the path of the field."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    location = first["loc"][1:]
    is_empty = not location and first["type"] == "missing"
    if is_empty or first["type"] == "json_invalid":
        return InvalidJson("The body is not valid JSON.")
    param = field_path(location, error.body, _absent(first))
    complaint = first["msg"]
    if len(complaint) > MAX_COMPLAINT:  # it repeats what the client sent
        complaint = complaint[:MAX_COMPLAINT] + " …"
    message = f"{param or 'The body'}: {complaint}."
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
    location: tuple[int | str, ...], body: Any, absent: str | None = None
) -> str | None:
    """`messages[0].content` for where in `body` an error is; None for the whole body.

    pydantic's location also names the members of unions it tried. Walking along the
    body leaves them out: they are no keys in it, but for the kind of a message or
    part, which follows its index. `absent` is a field that is not in the body, or
    should not be as it is.
    """
    path, here, is_item = "", body, False
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

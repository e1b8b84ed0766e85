"""Every error that leaves the web process, in the shape that OpenAI clients read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from edge.errors import EdgeError, InvalidJson, InvalidRequest, NotFound


def add_refusals(app: FastAPI) -> None:
    """Answers every exception on any route of `app` in that shape."""
    app.add_exception_handler(EdgeError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Exception, _refuse_unknown)


async def _refuse(_http: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeError)
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return JSONResponse(error.body(), error.status, headers)


async def _refuse_body(http: Request, error: Exception) -> Response:
    """pydantic's first complaint, as one sentence with the path of the field."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return await _refuse(http, InvalidJson("The body is not valid JSON."))
    param = field_path(first["loc"][1:], error.body)
    message = f"{param or 'The body'}: {first['msg']}."
    return await _refuse(http, InvalidRequest(message, param=param))


async def _refuse_http(http: Request, error: Exception) -> Response:
    """Starlette's own refusals: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    kind = NotFound if error.status_code == 404 else InvalidRequest
    refusal = kind(f"{http.method} {http.url.path[:200]}: {error.detail}.")
    return JSONResponse(refusal.body(), error.status_code, error.headers)


async def _refuse_unknown(http: Request, _error: Exception) -> Response:
    """A bug: uvicorn logs the traceback, the client gets a sentence."""
    return await _refuse(http, EdgeError("Something went wrong here. Try again."))


def field_path(location: tuple[int | str, ...], body: Any) -> str | None:
    """`messages[0].content` for where in `body` an error is; None for the whole body.

    pydantic's location also names the members of unions it tried. Walking along the
    body leaves them out: they are no keys in it.
    """
    path, here = "", body
    for i, step in enumerate(location):
        is_last = i == len(location) - 1
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, dict) and (step in here or is_last):
            path, here = f"{path}.{step}" if path else str(step), here.get(step)
    return path or None

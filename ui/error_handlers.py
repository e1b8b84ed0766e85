"""Exception handlers: every error in the shape that the clients of its API read."""

from __future__ import annotations

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
from ui.complaint import complaint
from ui.error_shape import error_body, headers_of
from ui.metrics import Metrics


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


async def _refuse_unknown(http: Request, _error: Exception) -> Response:
    """A bug: uvicorn logs the traceback, the client gets a sentence."""
    return await _refuse(http, EdgeError("Something went wrong here. Try again."))

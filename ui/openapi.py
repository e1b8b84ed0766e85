"""The OpenAPI document of the API, at /v1/openapi.json.

FastAPI writes it from the routes. Their handlers read bodies themselves, within bounds
that FastAPI does not know, so each says with `documented` what it reads and answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse

from edge import __version__
from ui.error_models import error_model

PATH = "/v1/openapi.json"
OTHERS = ("/health", "/ready", "/tokenize", "/detokenize")  # paths of the API
REF = "#/components/schemas/{model}"
JSON = "application/json"
ABOUT = """\
Questions about pictures, in the forms of several APIs. Unknown fields are ignored,
unless they would change the answer: then they are refused by name. A field that is null
is a field that is not there."""

Handler = TypeVar("Handler", bound=Callable[..., Any])
Schemas = dict[type[BaseModel], dict[str, Any]]


@dataclass(frozen=True)
class Described:
    """`body` is what a request holds, `answer` what a response holds, and `stream` the
    media type of a response that is a stream; an operation may have both. `sent_as` is
    the media type of the body."""

    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    stream: str = ""
    sent_as: str = JSON


NOTHING = Described()


def documented(
    *,
    body: type[BaseModel] | None = None,
    answer: type[BaseModel] | None = None,
    stream: str = "",
    sent_as: str = JSON,
) -> Callable[[Handler], Handler]:
    """Says of a handler what `Described` says."""

    def describe(handler: Handler) -> Handler:
        found = Described(body, answer, stream, sent_as)
        handler.described = found  # type: ignore[attr-defined]
        return handler

    return describe


def add_document(app: FastAPI) -> None:
    """Serves the document of all routes that `app` has by then."""
    whole: dict[str, Any] = {}

    @app.get(PATH, include_in_schema=False)
    async def openapi() -> JSONResponse:
        if not whole:
            whole.update(document(app))
        return JSONResponse(whole)


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the routes of `app` that belong to an API."""
    routes = [one for one in iter_route_contexts(app.routes) if is_api(one.path or "")]
    whole = get_openapi(
        title=app.title,
        version=__version__,
        description=ABOUT,
        routes=routes,
        servers=[{"url": ".."}],  # seen from the document's own address
    )
    handlers = {
        (one.path_format, method.lower()): one.endpoint
        for one in routes
        for method in one.methods or ()
    }
    described = map(_described, handlers.values())
    schemas, definitions = _schemas(described, whole["paths"])
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = re.sub(r"\W+", "_", f"{method}{path}").strip("_")
            _describe(operation, handlers[path, method], path, schemas)
    whole["components"] = {
        "schemas": definitions,
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    whole["security"] = [{"key": []}, {}]  # a server without keys needs none
    return whole


def is_api(path: str) -> bool:
    """Whether the document describes a path."""
    return path in OTHERS or path.startswith(("/v1/", "/v2/", "/api/"))


def _schemas(
    described: Iterable[Described], paths: Iterable[str]
) -> tuple[Schemas, dict[str, Any]]:
    """References to the schemas of all models, and their definitions by name."""
    found = {model for one in described for model in (one.body, one.answer) if model}
    models = [*found, *{error_model(path) for path in paths}]
    models.sort(key=lambda model: (model.__module__, model.__name__))
    references, whole = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF
    )
    return {m: references[m, "validation"] for m in models}, whole.get("$defs", {})


def _described(handler: Any) -> Described:
    found: Described = getattr(handler, "described", NOTHING)
    return found


def _describe(
    operation: dict[str, Any], handler: Any, path: str, schemas: Schemas
) -> None:
    """Completes what FastAPI has written of an operation."""
    described = _described(handler)
    if described.body:
        content = {described.sent_as: {"schema": schemas[described.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    found = operation["responses"]["200"]
    if described is not NOTHING:
        found["content"] = content = {}
        if described.answer:
            content[JSON] = {"schema": schemas[described.answer]}
        if described.stream:
            content[described.stream] = {"schema": {}}
    refusal = {JSON: {"schema": schemas[error_model(path)]}}
    operation["responses"] = {
        "200": found,
        "4XX": {"description": "The request is refused", "content": refusal},
        "5XX": {"description": "The server cannot answer now", "content": refusal},
    }

"""The methods of our own paths: any other one is answered 405 with Allow.

Said by routes of their own, because the page, mounted at `/`, would take what no route
before it matches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from edge.errors import MethodNotAllowed

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
READ = ["GET", "HEAD"]


def refuse_other_methods(router: APIRouter) -> None:
    """Adds a route for each path that `router` has so far."""
    known: defaultdict[str, set[str]] = defaultdict(set)
    for route in router.routes:
        if isinstance(route, APIRoute):
            known[route.path] |= route.methods or set()
    for path, methods in known.items():
        allowed = ", ".join(sorted(methods))
        router.add_api_route(
            path,
            _refusing(allowed),
            methods=sorted(set(METHODS) - methods),
            include_in_schema=False,
        )


def _refusing(allowed: str) -> Callable[[Request], Awaitable[Response]]:
    async def refuse(http: Request) -> Response:
        path = http.url.path[:200]
        error = MethodNotAllowed(f"{http.method} {path}: send {allowed} here.")
        return JSONResponse(error.body(), error.status, {"allow": allowed})

    return refuse

"""A script: an application that fails on purpose, behind the boundary. PORT on argv."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from ui.boundary import Boundary
from ui.origins import Origins

app = FastAPI(openapi_url=None)


@app.get("/health")
async def health() -> Response:
    return PlainTextResponse("ok")


@app.post("/v1/chat/completions")
async def ask(http: Request) -> Response:
    match await http.body():
        case b"bad":  # Starlette answers 500 and raises again
            raise RuntimeError("-".join(("what", "was", "sent")))
        case b"cut":

            async def pieces():
                yield b"half of "
                raise RuntimeError("gone")

            return StreamingResponse(pieces())
    return PlainTextResponse("answered")


async def raw(scope, receive, send) -> None:
    """Around Starlette: no handler catches what is raised here."""
    if scope["type"] == "http" and scope["path"] == "/logout":
        raise RuntimeError("before any answer")
    await app(scope, receive, send)


if __name__ == "__main__":
    uvicorn.run(
        Boundary(raw, Origins()),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
    )

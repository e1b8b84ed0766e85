"""The outermost layer: names of requests, and hints for paths that nothing answers."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from edge.errors import EdgeError, Unauthorized, Unavailable
from ui.boundary import Boundary
from ui.error_handlers import response_to
from ui.origins import Origins


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Boundary(PlainTextResponse("here"), Origins.of("", "", []))
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_each_answer_has_the_name_of_its_request(http: httpx.AsyncClient) -> None:
    names = set()
    for path in ("/health", "/health", "/nothing"):
        names.add((await http.get(path)).headers["x-request-id"])
    assert len(names) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    named = await http.get("/health", headers={"x-request-id": "a-7.b"})
    assert named.headers["x-request-id"] == "a-7.b"
    for hostile in ("a b", "x" * 65, "a;b", "é".encode()):
        answer = await http.get("/health", headers={"x-request-id": hostile})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("//v1/models", "/v1/models"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1/api/chat", "/api/chat"),
        ("/v2/chat/completions", "under /v1"),
        ("/", None),
    ],
)
async def test_a_path_beside_the_api_is_told_where_it_is(
    http: httpx.AsyncClient, path: str, there: str | None
) -> None:
    answer = await http.get(
        httpx.URL("http://127.0.0.1").copy_with(raw_path=path.encode())
    )
    if there is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 404
    assert there in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "error", [Unavailable("Try again.", retry_after_s=1.5), Unauthorized("Send a key.")]
)
async def test_an_error_that_gets_here_has_the_headers_of_any_other(
    error: EdgeError,
) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    app = Boundary(fail, Origins.of("", "", []))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as http:
        reply = await http.get("/health", headers={"host": "127.0.0.1"})
    expected = response_to(error, "/health")
    assert reply.status_code == expected.status_code
    assert reply.json() == json.loads(expected.body)
    for name in {*expected.headers} - {"content-length"}:  # of other spaces
        assert reply.headers[name] == expected.headers[name]

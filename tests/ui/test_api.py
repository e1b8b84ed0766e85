"""The routes of the API: methods, models, readiness."""

from __future__ import annotations

from typing import Any

import pytest

from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from tests.ui.api_harness import ApiHarness, code_of

pytestmark = pytest.mark.redis

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
ALLOWED = {
    "/health": "GET, HEAD",
    "/ready": "GET, HEAD",
    "/v1/models": "GET, HEAD",
    "/v1/models/stub": "GET, HEAD",
    "/v1/chat/completions": "POST",
    "/v1/jobs/abc": "GET, DELETE",
    "/v1/jobs/abc/events": "GET",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ALLOWED)
async def test_a_wrong_method_gets_the_allowed_ones(
    web: ApiHarness, path: str, method: str
) -> None:
    reply = await web.http.request(method, path)
    if method in ALLOWED[path]:
        assert reply.status_code != 405
        return
    assert reply.status_code == 405
    assert reply.headers["allow"] == ALLOWED[path]
    if method == "HEAD":  # has no body
        return
    assert code_of(reply) == (405, "method_not_allowed")
    assert ALLOWED[path] in reply.json()["error"]["message"]


@pytest.mark.parametrize("method", [one for one in METHODS if one != "HEAD"])
async def test_there_is_nothing_else(web: ApiHarness, method: str) -> None:
    reply = await web.http.request(method, "/v1/nothing")
    assert code_of(reply) == (404, "not_found")


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models"])
async def test_a_monitor_may_ask_for_the_head(web: ApiHarness, path: str) -> None:
    assert (await web.http.head(path)).status_code == 200


async def test_a_model_can_be_looked_at(web: ApiHarness) -> None:
    [listed] = (await web.http.get("/v1/models")).json()["data"]
    found = (await web.http.get("/v1/models/stub")).json()
    assert found | listed == found | {"created": listed["created"]}
    assert (found["id"], found["object"]) == ("stub", "model")
    for name in ("gpt-9", "a/b", "%1b[2J"):
        reply = await web.http.get(f"/v1/models/{name}")
        assert code_of(reply)[0] == 404
        assert reply.json()["error"]["message"].isprintable()


# --- readiness ------------------------------------------------------------------------


async def test_ready_succeeds_with_a_worker(web: ApiHarness) -> None:
    reply = await web.http.get("/ready")
    assert (reply.status_code, reply.json()["status"]) == (200, "ready")
    assert "error" not in reply.json()


async def test_ready_fails_without_a_worker(web: ApiHarness) -> None:
    web.sync.delete(FLEET)
    reply = await web.http.get("/ready")
    state = reply.json()
    assert (reply.status_code, state["status"]) == (503, "no_worker")
    assert "No worker" in state["error"]["message"]
    assert state["slots"] == 0
    assert reply.headers["retry-after"]


async def test_ready_fails_without_a_broker(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(web.client._fleet, "workers", away)
    reply = await web.http.get("/ready")
    state = reply.json()
    assert (reply.status_code, state["status"]) == (503, "service_unavailable")
    assert "queue cannot be reached" in state["error"]["message"]


# --- long conversations ---------------------------------------------------------------


async def test_a_text_that_can_never_fit_is_refused_before_admission(
    web: ApiHarness,
) -> None:
    info = WorkerInfo("here-1", "stub", "f", "stub", 1, n_cells=100)
    Heart(web.sync, info).beat()
    reply = await web.post("x" * 1601)
    assert code_of(reply) == (400, "context_length_exceeded")
    assert "1,601 characters" in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"] == "messages"
    assert web.live == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_that_can_never_fit_ends_with_the_context(
    web: ApiHarness, name: str
) -> None:
    info = WorkerInfo("here-1", "stub", "f", "stub", 1, n_cells=100)
    Heart(web.sync, info).beat()
    async with web.working():
        reply = await web.post(n=None, **{name: 2**31 - 1})
    assert (reply.status_code, reply.json()["max_tokens"]) == (200, 100)
    assert reply.json()["usage"]["completion_tokens"] == 100
    assert reply.json()["choices"][0]["finish_reason"] == "length"
    for number in (2**31, 10**90):
        reply = await web.post(**{name: number})
        assert code_of(reply) == (400, "invalid_request")
        assert reply.json()["error"]["param"] == name
        assert str(number) not in reply.json()["error"]["message"]


async def test_turns_that_can_never_fit_are_dropped_before_the_queue(
    web: ApiHarness,
) -> None:
    info = WorkerInfo("here-1", "stub", "f", "stub", 1, n_cells=100)
    Heart(web.sync, info).beat()
    web.sync.zincrby(FLEET, 600, "here-1")
    turns = [{"role": "user", "content": f"{n} ".ljust(100, "x")} for n in range(500)]
    async with web.working():
        reply = await web.post(messages=turns, truncate="auto")
    assert reply.status_code == 200
    assert reply.json()["dropped_messages"] == 500 - 16
    [key] = web.sync.keys("edge:job:*")
    assert len(web.sync.hget(key, "request") or b"") < 5000

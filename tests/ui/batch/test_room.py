"""How much one client may store, and how long it may keep others waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.keys import create_key
from edge.limits import Limits
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from tests.ui.batch.batch_harness import CHAT, begin, line, upload
from ui.batch import files, folders, routes

pytestmark = pytest.mark.redis


async def test_an_anonymous_client_gets_no_more_room_by_another_header(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_FOLDERS", 2)
    for name in "ab":
        assert (await upload(web, "x", authorization=name)).status_code == 200
    refused = await upload(web, "x", authorization="c")
    assert code_of(refused) == (429, "client_limit")
    web.http = web.at("127.0.0.2")
    assert (await upload(web, "x")).status_code == 200


async def test_an_anonymous_client_gets_no_more_batches_by_another_header(
    web: ApiHarness,
) -> None:
    for name in "abcd":
        assert (await begin(web, line("a"), authorization=name)).status_code == 200
    refused = await begin(web, line("a"), authorization="e")
    assert code_of(refused) == (429, "client_limit")
    web.http = web.at("127.0.0.2")
    assert (await begin(web, line("a"))).status_code == 200


async def test_a_file_that_does_not_arrive_is_given_up(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READ_S", 0.2)

    async def hang() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(60)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    for _ in range(3):  # more than are received at a time
        reply = await web.http.post("/v1/files", content=hang(), headers=headers)
        assert code_of(reply) == (408, "body_timeout")
    assert (await upload(web, "x")).status_code == 200


async def test_files_and_batches_are_charged_as_requests(
    broker_url: str, tmp_path: Path
) -> None:
    keys_file = tmp_path / "keys.json"
    key = create_key(keys_file, "me", Limits.read("requests/day=3"))
    async with api_harness(broker_url, keys_file=str(keys_file)) as web:
        web.http.headers["authorization"] = f"Bearer {key}"
        batch = await begin(web, line("a"))
        assert batch.headers["x-ratelimit-remaining-requests"] == "1"
        assert (await upload(web, "x")).status_code == 200
        body = {"input_file_id": batch.json()["input_file_id"], "endpoint": CHAT}
        for refused in (
            await upload(web, "x"),
            await web.http.post("/v1/batches", json=body),
        ):
            assert code_of(refused) == (429, "rate_limit_exceeded")


async def test_one_batch_of_a_client_is_checked_at_a_time(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that other people's batches wait for few."""
    make_batch, go = routes.make_batch, threading.Event()
    begun: list[Any] = []

    def slowly(*args: Any) -> Any:
        begun.append(args)
        go.wait(60)
        return make_batch(*args)

    monkeypatch.setattr(routes, "make_batch", slowly)
    first = asyncio.create_task(begin(web, line("a")))
    await web.until(lambda: bool(begun))
    second = await begin(web, line("a"), authorization="another")
    assert code_of(second) == (429, "client_limit")
    assert "retry-after" in second.headers
    web.http = web.at("127.0.0.2")
    other = asyncio.create_task(begin(web, line("a")))
    await asyncio.sleep(0.2)
    assert len(begun) == 1
    go.set()
    assert (await first).status_code == (await other).status_code == 200
    web.http = web.at("127.0.0.1")
    assert (await begin(web, line("a"))).status_code == 200

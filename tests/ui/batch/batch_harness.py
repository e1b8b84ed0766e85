"""Batches that tests begin, work on and read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from tests.ui.api_harness import ApiHarness
from ui.batch.folders import Folders
from ui.batch.runner import BatchRunner

CHAT = "/v1/chat/completions"


def folders_of(web: ApiHarness) -> Folders:
    return Folders(web.client.settings.data_dir / "batches")


@asynccontextmanager
async def running(web: ApiHarness) -> AsyncIterator[None]:
    """Meanwhile batches are worked on, as by a web process."""
    inner = web.app._app
    assert hasattr(inner, "router")
    one = BatchRunner(folders_of(web), inner.router, web.client.keys)
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)


def line(
    custom_id: str, url: str = "/v1/chat/completions", **body: Any
) -> dict[str, Any]:
    if not body:
        body = {"messages": [{"role": "user", "content": custom_id}]}
    body = {"max_tokens": 5} | body
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


async def upload(web: ApiHarness, *lines: Any, **headers: str) -> httpx.Response:
    content = "\n".join(
        one if isinstance(one, str) else json.dumps(one) for one in lines
    )
    files = {"file": ("in.jsonl", content.encode())}
    data = {"purpose": "batch"}
    return await web.http.post("/v1/files", files=files, data=data, headers=headers)


async def begin(
    web: ApiHarness, *lines: Any, endpoint: str = CHAT, **headers: str
) -> httpx.Response:
    file_id = (await upload(web, *lines, **headers)).json()["id"]
    body = {"input_file_id": file_id, "endpoint": endpoint}
    body |= {"completion_window": "24h"}
    return await web.http.post("/v1/batches", json=body, headers=headers)


async def ended(web: ApiHarness, batch_id: str) -> dict[str, Any]:
    for _ in range(1200):
        batch = (await web.http.get(f"/v1/batches/{batch_id}")).json()
        if batch["status"] not in ("in_progress", "cancelling"):
            return batch
        await asyncio.sleep(0.05)
    raise AssertionError(batch)


async def results(web: ApiHarness, file_id: str) -> dict[str, Any]:
    reply = await web.http.get(f"/v1/files/{file_id}/content")
    found = [json.loads(one) for one in reply.text.splitlines()]
    return {one["custom_id"]: one["response"] for one in found}

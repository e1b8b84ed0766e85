"""The HTTP API of batches: /v1/batches. Other callers than their own get 404."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from edge.caller import Caller
from edge.errors import ClientLimit, EdgeError, QueueFull
from ui.batch import files
from ui.batch.folders import Folder, Folders
from ui.batch.lines import Endpoint, count_lines
from ui.batch.work import CANCEL, OPEN, PREFIX, WINDOW_S
from ui.body import parse
from ui.openai.answers import Answered
from ui.openai.values import Body
from ui.openapi import documented
from ui.pages import page
from ui.questions import Questions
from ui.request_caller import caller_of

MOST_OPEN = 4  # batches of one caller
MOST_OPEN_OF_ALL = 16


class BatchBody(Body):
    input_file_id: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
    endpoint: Endpoint
    completion_window: Literal["24h"] = "24h"
    metadata: dict[
        Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]
    ] = Field({}, max_length=16)


def batch_routes(folders: Folders, questions: Questions) -> APIRouter:
    """The API over `folders`; each new batch is charged as one of `questions`."""
    router = APIRouter(prefix="/v1/batches")
    reading = asyncio.Lock()  # one file at a time: it is parsed
    waiting: set[str] = set()  # whose file is parsed, or waits for it

    def read(data: bytearray) -> BatchBody:
        return parse(BatchBody, data)

    @contextmanager
    def alone(caller: Caller) -> Iterator[None]:
        """Raises ClientLimit while another batch of the same client is made."""
        if caller.culprit in waiting:
            raise ClientLimit(
                "The lines of another batch of your account or address are being "
                "checked. Try again soon.",
                retry_after_s=5,
            )
        waiting.add(caller.culprit)
        try:
            yield
        finally:
            waiting.remove(caller.culprit)

    async def find(batch_id: str, http: Request) -> Folder:
        return await asyncio.to_thread(folders.find, batch_id, PREFIX, caller_of(http))

    @router.post("")
    @documented(body=BatchBody, answer=Answered)
    async def create(http: Request) -> dict[str, Any]:
        await questions.charge_request(http)
        caller = caller_of(http)
        with alone(caller):
            async with questions.bodies.read(http, read) as body, reading:
                made = await asyncio.to_thread(make_batch, folders, caller, body)
        return described(made)

    @router.get("")
    @documented(answer=Answered)
    async def listed(http: Request, after: str = "", limit: int = 20) -> dict[str, Any]:
        found = await asyncio.to_thread(folders.of, caller_of(http), PREFIX)
        return page([described(folder) for folder in found], after, limit)

    @router.get("/{batch_id}")
    @documented(answer=Answered)
    async def batch(batch_id: str, http: Request) -> dict[str, Any]:
        return described(await find(batch_id, http))

    @router.post("/{batch_id}/cancel")
    @documented(answer=Answered)
    async def cancel(batch_id: str, http: Request) -> dict[str, Any]:
        """Asks for the end of a batch: lines that run are finished first."""
        found = await find(batch_id, http)
        if found.about["status"] in OPEN:
            await asyncio.to_thread((found.path / CANCEL).touch)
        return described(found)

    return router


def make_batch(folders: Folders, caller: Caller, body: BatchBody) -> Folder:
    """A batch that is not begun. Blocks. Raises the EdgeError that refuses it."""
    opened = [one for one in folders.all(PREFIX) if one.about["status"] in OPEN]
    if len(opened) >= MOST_OPEN_OF_ALL:
        raise QueueFull(
            f"{len(opened)} batches are open, the most that there may be. Try again "
            "later.",
            retry_after_s=60,
        )
    if sum(one.counts_for(caller) for one in opened) >= MOST_OPEN:
        raise ClientLimit(
            f"{MOST_OPEN} batches of your account or address are open, the most that "
            "there may be. Try again when one has ended.",
            retry_after_s=60,
        )
    source = folders.find(body.input_file_id, files.PREFIX, caller)
    n_lines = count_lines(source.path / files.CONTENT, body.endpoint)
    made: list[Folder] = []
    try:
        for kind in ("output", "error"):
            name = f"{kind}.jsonl"
            made.append(
                files.make_file(folders, caller, name, "batch_output", grows=True)
            )
        output, error = made
        return folders.make(
            PREFIX,
            caller,
            status="in_progress",
            input_file_id=source.id,
            endpoint=body.endpoint,
            metadata=body.metadata,
            total=n_lines,
            completed=0,
            failed=0,
            ended_at=None,
            fault=None,
            output_file_id=output.id,
            error_file_id=error.id,
        )
    except (EdgeError, OSError):  # no room for all of them
        for folder in made:
            folders.delete(folder)
        raise


def described(batch: Folder) -> dict[str, Any]:
    """The batch in OpenAI's shape."""
    about = batch.about
    status, ended_at = about["status"], about["ended_at"]
    if status in OPEN and (batch.path / CANCEL).exists():
        status = "cancelling"
    counts = {name: about[name] for name in ("total", "completed", "failed")}
    has_ended = status not in OPEN
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": about["endpoint"],
        "errors": _errors(about.get("fault")),
        "input_file_id": about["input_file_id"],
        "output_file_id": about["output_file_id"] if has_ended else None,
        "error_file_id": about["error_file_id"]
        if has_ended and about["failed"]
        else None,
        "completion_window": "24h",
        "status": status,
        "created_at": about["created_at"],
        "in_progress_at": about["created_at"],
        "expires_at": about["created_at"] + WINDOW_S,
        **{
            f"{state}_at": ended_at if state == status else None
            for state in ("completed", "cancelled", "expired", "failed")
        },
        "request_counts": counts,
        "metadata": about["metadata"],
    }


def _errors(fault: dict[str, str] | None) -> dict[str, Any] | None:
    """OpenAI's list of what has ended a batch."""
    if fault is None:
        return None
    return {"object": "list", "data": [fault | {"line": None, "param": None}]}

"""The HTTP API of files: /v1/files. Other callers than their own get 404."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from edge.caller import Caller
from edge.errors import (
    BodyTimeout,
    Cancelled,
    InvalidRequest,
    NotFound,
    UnsupportedMedia,
    UnsupportedParameter,
)
from ui.batch.folders import KEEP_S, Folder, Folders, not_found
from ui.body import READ_S
from ui.openai.answers import Answered
from ui.openapi import documented
from ui.pages import page
from ui.questions import Questions
from ui.request_caller import caller_of

PREFIX = "file-"
CONTENT = "content"
GROWS = "grows"  # whether results are still added to a file, which is hidden until then


class Upload(BaseModel):
    """The fields of a form, for the OpenAPI document."""

    file: bytes
    purpose: Literal["batch"]


def file_routes(folders: Folders, questions: Questions) -> APIRouter:
    """The API over `folders`; each upload is charged as one of `questions`."""
    router = APIRouter(prefix="/v1/files")
    receiving = asyncio.Semaphore(2)  # each is 32 MiB at most, in /tmp

    async def find(file_id: str, http: Request) -> Folder:
        caller = caller_of(http)
        found = await asyncio.to_thread(folders.find, file_id, PREFIX, caller)
        if found.about.get(GROWS):
            raise not_found(file_id)
        return found

    @router.post("")
    @documented(body=Upload, answer=Answered, sent_as="multipart/form-data")
    async def upload(http: Request) -> dict[str, Any]:
        await questions.charge_request(http)
        if not http.headers.get("content-type", "").startswith("multipart/form-data"):
            raise UnsupportedMedia("Send the file as multipart/form-data.")
        async with receiving, _form(http) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequest("file: Field required.", param="file")
            if form.get("purpose") != "batch":
                raise UnsupportedParameter(
                    'Files are only for batches here. Send the purpose "batch".',
                    param="purpose",
                )
            made = await asyncio.to_thread(_store, folders, caller_of(http), file)
        return described(made)

    @router.get("")
    @documented(answer=Answered)
    async def files(http: Request, after: str = "", limit: int = 100) -> dict[str, Any]:
        found = await asyncio.to_thread(folders.of, caller_of(http), PREFIX)
        there: list[dict[str, Any]] = []
        for folder in found:
            if folder.about.get(GROWS):
                continue
            with suppress(NotFound):  # deleted meanwhile
                there.append(described(folder))
        return page(there, after, limit)

    @router.get("/{file_id}")
    @documented(answer=Answered)
    async def file(file_id: str, http: Request) -> dict[str, Any]:
        return described(await find(file_id, http))

    @router.get("/{file_id}/content")
    @documented(stream="application/jsonl")
    async def content(file_id: str, http: Request) -> FileResponse:
        found = await find(file_id, http)
        return FileResponse(found.path / CONTENT, media_type="application/jsonl")

    @router.delete("/{file_id}")
    @documented(answer=Answered)
    async def delete(file_id: str, http: Request) -> dict[str, Any]:
        found = await find(file_id, http)
        await asyncio.to_thread(folders.delete, found)
        return {"id": file_id, "object": "file", "deleted": True}

    return router


def make_file(
    folders: Folders,
    caller: Caller,
    name: str,
    purpose: str,
    n_bytes: int = 0,
    *,
    grows: bool = False,
) -> Folder:
    """A new, empty file, for this many bytes. Blocks. Raises as `Folders.make`."""
    about = {"name": name, "purpose": purpose, GROWS: grows}
    made = folders.make(PREFIX, caller, n_bytes, **about)
    (made.path / CONTENT).touch(mode=0o600)
    return made


def described(file: Folder) -> dict[str, Any]:
    """The file in OpenAI's shape. Blocks for a moment. Raises NotFound."""
    created = file.about["created_at"]
    try:
        n_bytes = (file.path / CONTENT).stat().st_size
    except FileNotFoundError:
        raise not_found(file.id) from None
    return {
        "id": file.id,
        "object": "file",
        "bytes": n_bytes,
        "created_at": created,
        "expires_at": created + KEEP_S,
        "filename": file.about["name"],
        "purpose": file.about["purpose"],
        "status": "processed",
    }


@asynccontextmanager
async def _form(http: Request) -> AsyncIterator[FormData]:
    """The form of a request, closed after the block. Raises BodyTimeout, and Cancelled
    when the client left."""
    try:
        async with asyncio.timeout(READ_S):
            await http.form(max_files=1, max_fields=10)
    except TimeoutError:
        raise BodyTimeout(
            f"The file did not arrive within {READ_S:.0f} seconds. Send it faster."
        ) from None
    except ClientDisconnect:
        raise Cancelled("The client hung up.") from None
    async with http.form() as form:
        yield form


def _store(folders: Folders, caller: Caller, sent: UploadFile) -> Folder:
    name = (sent.filename or "")[:200]
    made = make_file(folders, caller, name, "batch", sent.size or 0)
    with (made.path / CONTENT).open("wb") as target:
        shutil.copyfileobj(sent.file, target)
    return made

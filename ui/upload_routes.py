"""POST /gradio_api/upload and GET /gradio_api/file=: pictures for the page.

These routes stand before Gradio's own, which would keep any file and serve it to every
caller.
"""

from __future__ import annotations

import asyncio
import errno

from fastapi import APIRouter, Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from edge.errors import BodyTooLarge, InvalidRequest, StorageFull
from ui.request_caller import caller_of
from ui.surface import UPLOAD_BYTES, UPLOAD_FILES
from ui.uploads import Upload, Uploads


def upload_routes(uploads: Uploads) -> APIRouter:
    """The routes over `uploads`."""
    router = APIRouter()

    @router.post("/gradio_api/upload")
    async def add_files(http: Request) -> Response:
        """Keeps the files of a form; returns their paths, in its order."""
        caller = caller_of(http)
        length = http.headers.get("content-length", "0")
        uploads.check_room(caller.address, int(length))
        form = await _form(http)
        kept: list[Upload] = []
        try:
            for file in _files(form):
                data, name = await file.read(), file.filename or ""
                upload = await asyncio.to_thread(
                    uploads.add, caller.name, caller.address, name, data
                )
                kept.append(upload)
        except BaseException:  # all or none: no client learns the other paths
            for one in kept:
                uploads.remove(one)
            raise
        finally:
            await form.close()
        return JSONResponse([str(one.path) for one in kept])

    @router.get("/gradio_api/file={path:path}")
    async def file(path: str, http: Request) -> Response:
        """An upload, for its owner only."""
        owner = caller_of(http).name
        data = await asyncio.to_thread(uploads.read, owner, path)
        headers = {"cache-control": "private, max-age=3600"}
        kind = uploads.find(owner, path).media_type
        return Response(data, media_type=kind, headers=headers)

    return router


async def _form(http: Request) -> FormData:
    try:
        return await http.form(max_files=UPLOAD_FILES, max_fields=0)
    except HTTPException as error:  # Starlette's error for a form that it cannot read
        too_many = "Too many files" in str(error.detail)
        if too_many:
            raise BodyTooLarge(f"Send at most {UPLOAD_FILES} files.") from None
        raise InvalidRequest(f"The form cannot be read: {error.detail}") from None
    except FormParserError:
        raise InvalidRequest("The form cannot be read.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The disk of this server is full.") from None
        raise


def _files(form: FormData) -> list[UploadFile]:
    files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
    if not files:
        raise InvalidRequest("There is no file in the form.")
    if sum(file.size or 0 for file in files) > UPLOAD_BYTES:
        raise BodyTooLarge(f"Send at most {UPLOAD_BYTES >> 20} MiB at a time.")
    return files

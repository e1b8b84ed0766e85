"""The HTTP route that shows the pages of a document: POST /v1/pages.

A browser has no reader of PDFs that a page may use: the chat page sends the file here,
and has pictures of its pages, as the model sees them, to show and to ask about.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from PIL import Image

from edge.errors import EdgeError
from edge.images import Picture
from ui.body import parse
from ui.client import Client
from ui.event_streams import put_back, unless_gone
from ui.meter import Meter
from ui.openai.files import File, document_of
from ui.openai.values import Body
from ui.openapi import documented
from ui.prompt_parts import chosen_pages
from ui.question import MAX_PAGES, SentDocument
from ui.questions import Questions
from ui.request_caller import caller_of, limits_of
from ui.sse import DONE, event_stream

COMPRESSION = 4  # of PNG: a page in about 0.1 s


class PagesBody(Body):
    file: File


def page_picture_routes(client: Client, questions: Questions) -> APIRouter:
    """The route over `client`; each request is charged as one of `questions`."""
    router = APIRouter()

    @router.post("/v1/pages")
    @documented(body=PagesBody, stream="text/event-stream")
    async def pages(http: Request) -> StreamingResponse:
        meter = await questions.charge_request(http)

        def read(data: bytearray) -> tuple[SentDocument, int]:
            return document_of(parse(PagesBody, data).file, "file"), len(data)

        async with questions.bodies.read(http, read) as (document, n_bytes):
            frames = _frames(client, http, document, n_bytes, meter)
            # so that a wrong file can have a proper HTTP status
            first = await unless_gone(http, anext(frames))
        return event_stream(put_back(first, frames))

    return router


async def _frames(
    client: Client,
    http: Request,
    document: SentDocument,
    n_bytes: int,
    meter: Meter,
) -> AsyncGenerator[str]:
    """An event for each page, as soon as it is drawn and its image tokens are charged,
    as in a question. Raises an EdgeError for the first; that of a later page is the
    last event."""
    caller, n_sent = caller_of(http), 0
    with client.pages_in_flight.holding(caller.address) as hold:
        hold(n_bytes)
        try:
            served = await client.serving("", limits_of(http))
            n_pages = await client.decoder.count_pages(document, caller)
            for i in chain(*chosen_pages(document, n_pages, MAX_PAGES)):
                page = document.page(i, n_pages)
                await meter.check("image-tokens", 1)
                picture = await client.decoder.decode(page, caller, served)
                await meter.charge("image-tokens", picture.ref.n_tokens)
                told = {"page": i + 1, "n_pages": n_pages, "label": page.label}
                yield _frame(told | await asyncio.to_thread(_shown, picture))
                n_sent += 1
        except EdgeError as error:
            if not n_sent:
                raise
            yield _frame(error.body())
    yield DONE


def _shown(picture: Picture) -> dict[str, Any]:
    """The fields of a picture, which is a PNG."""
    size, file = (picture.width, picture.height), io.BytesIO()
    image = Image.frombuffer("RGB", size, picture.rgb)
    image.save(file, "PNG", compress_level=COMPRESSION)
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"width": picture.width, "height": picture.height, "url": url}


def _frame(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

"""The HTTP API: /v1/chat/completions, /v1/models, /health, /ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from edge import request as words
from edge.errors import Cancelled, EdgeError, NotFound
from edge.images import Picture
from ui import openai_schema as schema
from ui.client import Asked, Client
from ui.handlers import notice
from ui.metrics import Stopwatch
from ui.sse import Reply, finished, started
from ui.vetting import Vetting, check_count

T = TypeVar("T")


def routes(client: Client, vetting: Vetting) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    @router.post("/v1/chat/completions")
    async def chat_completions(body: schema.ChatBody, http: Request) -> Response:
        with client.metrics.question() as watch:
            body.refuse_unsupported()
            asked = await _unless_gone(http, _ask(client, vetting, body, watch))
        reply = Reply(asked.model)
        headers = {"x-cache": "hit" if asked.is_cached else "miss"}
        if not body.stream:
            answer = await _unless_gone(http, finished(asked.events))
            return JSONResponse(reply.complete(answer), headers=headers)
        events = await _unless_gone(http, started(asked.events))
        options = body.stream_options or schema.StreamOptions()
        return StreamingResponse(
            reply.stream(events, options.include_usage),
            media_type="text/event-stream",
            # proxies must neither keep nor collect what is streamed
            headers=headers | {"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        names = sorted({worker.model for worker in await client.workers()})
        about = {"object": "model", "created": int(time.time()), "owned_by": "edge-vl"}
        return {"object": "list", "data": [_model(name) | about for name in names]}

    @router.get("/health")
    async def health() -> dict[str, str]:
        """This process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> Response:
        """Questions can be answered: the broker is there and a worker is alive."""
        workers = await client.workers()
        state = {
            "status": "ready" if workers else "no_worker",
            "models": sorted({worker.model for worker in workers}),
            "vision": sorted({worker.vision for worker in workers}),
            "slots": sum(worker.n_slots for worker in workers),
        }
        return JSONResponse(state, status_code=200 if workers else 503)

    @router.api_route("/v1/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def nothing(path: str, http: Request) -> None:
        raise NotFound(f"There is no {http.method} /v1/{path[:200]} here.")

    return router


def _model(name: str) -> dict[str, str]:
    """A model by its name, with what has to be said of it."""
    warning = notice({name}, "en")
    return {"id": name} | ({"description": warning} if warning else {})


async def _ask(
    client: Client, vetting: Vetting, body: schema.ChatBody, watch: Stopwatch
) -> Asked:
    messages, pictures = await _vet_messages(body, vetting)
    sampling = body.sampling(client.settings.answer_tokens)
    request = words.Request(
        messages, sampling, body.model, truncate=body.truncate == "auto"
    )
    return await client.ask(request, pictures, watch)


async def _vet_messages(
    body: schema.ChatBody, vetting: Vetting
) -> tuple[tuple[words.Message, ...], list[Picture]]:
    """The conversation in our words, and the pixels of its pictures."""
    pictures: list[Picture] = []
    messages = []
    for i, message in enumerate(body.messages):
        content: list[str | words.PictureRef] = []
        for j, part in enumerate(schema.parts_of(message)):
            if isinstance(part, schema.TextPart):
                content.append(part.text)
                continue
            param = f"messages[{i}].content[{j}].image_url"
            try:
                check_count(len(pictures) + 1)
                encoded = schema.decode_data_url(part.image_url.url)
                picture = await vetting.vet(encoded, part.image_url.detail)
                pictures.append(picture)
            except EdgeError as refusal:
                refusal.param = param  # which of the pictures it was
                raise
            content.append(pictures[-1].ref)
        role = "system" if message.role == "developer" else message.role
        messages.append(words.Message(role, tuple(content)))
    return tuple(messages), pictures


async def _unless_gone(http: Request, work: Awaitable[T]) -> T:
    """What `work` gives; cancelled as soon as the client hangs up.

    Nothing else watches the connection before the first byte of a response.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(http))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("The client hung up.")
    finally:
        task.cancel()
        gone.cancel()


async def _disconnect(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass

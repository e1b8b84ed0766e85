"""The HTTP API: /v1/chat/completions, /v1/models, /health, /ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.errors import Cancelled, NotFound
from ui import openai_schema as schema
from ui.admission import Place, may_ask
from ui.asker import asker_of, caller_of, limits_of, longest_answer
from ui.client import Asked, Client
from ui.draft import Draft
from ui.handlers import notice
from ui.jobs import last_event_id
from ui.metrics import Stopwatch
from ui.sse import Reply, event_stream, finished, started
from ui.vetting import Vetting

T = TypeVar("T")


def routes(client: Client, vetting: Vetting) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    @router.post("/v1/chat/completions")
    async def chat_completions(body: schema.ChatBody, http: Request) -> Response:
        with client.metrics.question() as watch:
            body.refuse_unsupported()
            skip = last_event_id(http)
            max_tokens = longest_answer(
                body.longest_answer, client.settings.answer_tokens, limits_of(http)
            )
            draft = Draft(body, max_tokens, caller_of(http))
            asker = asker_of(
                http,
                await http.body(),
                max_tokens=max_tokens,
                is_batch=body.service_tier == "flex",
                streams=body.stream,
            )
            watch.of(asker.caller, body.model)
            meter = client.meter(asker, http.state.ratelimit)
            await meter.charge("requests", 1)
            asked = await client.recall(draft.recalled(vetting), asker, watch, meter)
            if asked is None:
                async with client.place(asker, body.model, meter) as place:
                    work = _ask(client, vetting, draft, place, watch)
                    asked = await _unless_gone(http, work)
        reply = Reply(asked.job.job_id, asked.job.created, asked.model)
        if asked.is_cached:  # there is no job to look at, or not for long
            headers = {"x-cache": "hit"}
        else:
            headers = {"x-cache": "miss", "x-job-id": asked.job.job_id}
        if not body.stream:
            answer = await _unless_gone(http, finished(asked.events))
            return JSONResponse(reply.complete(answer), headers=headers)
        events = await _unless_gone(http, started(asked.events))
        options = body.stream_options or schema.StreamOptions()
        return event_stream(reply.stream(events, options.include_usage, skip), headers)

    @router.get("/v1/models")
    async def models(http: Request) -> dict[str, Any]:
        served = {worker.model for worker in await client.workers()}
        names = sorted(name for name in served if may_ask(name, limits_of(http)))
        about = {"object": "model", "created": int(time.time()), "owned_by": "edge-vl"}
        return {"object": "list", "data": [_model(name) | about for name in names]}

    @router.get("/health")
    async def health() -> dict[str, str]:
        """This process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(http: Request) -> Response:
        """Questions can be answered: the broker is there and a worker is alive. What
        answers them is no stranger's business."""
        workers = await client.workers()
        status = 200 if workers else 503
        state: dict[str, Any] = {"status": "ready" if workers else "no_worker"}
        if http.state.caller is None:
            return JSONResponse(state, status)
        state |= {
            "models": sorted({worker.model for worker in workers}),
            "vision": sorted({worker.vision for worker in workers}),
            "runtime": sorted({worker.runtime for worker in workers}),
            "slots": sum(worker.n_slots for worker in workers),
        }
        return JSONResponse(state, status)

    @router.api_route("/v1/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def nothing(path: str, http: Request) -> None:
        raise NotFound(f"There is no {http.method} /v1/{path[:200]} here.")

    return router


def _model(name: str) -> dict[str, str]:
    """A model by its name, with what has to be said of it."""
    warning = notice({name}, "en")
    return {"id": name} | ({"description": warning} if warning else {})


async def _ask(
    client: Client, vetting: Vetting, draft: Draft, place: Place, watch: Stopwatch
) -> Asked:
    if not place.job.is_new:
        return client.asked_before(place, watch)
    request, pictures = await draft.vetted(vetting)
    return await client.ask(place, request, pictures, watch)


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

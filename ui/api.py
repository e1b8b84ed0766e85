"""The HTTP API: /v1/chat/completions, /v1/models, /health, /ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.errors import Cancelled, EdgeError
from edge.jobs.fleet import WorkerInfo
from edge.limits import Limits
from ui import openai_schema as schema
from ui.admission import Place, may_ask, serving
from ui.body import Bodies, parse
from ui.client import Asked, Client
from ui.decoding import PictureDecoder
from ui.error_handlers import headers_of
from ui.handlers import notice
from ui.jobs import last_event_id
from ui.meter import Meter
from ui.metrics import Stopwatch
from ui.parsed_question import ParsedQuestion
from ui.request_caller import asker_of, caller_of, limits_of, longest_answer
from ui.sse import Reply, event_stream, finished, started

T = TypeVar("T")


def routes(client: Client, decoder: PictureDecoder) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    bodies = Bodies(client.metrics)

    def draft_of(http: Request, data: bytearray) -> ParsedQuestion:
        body = parse(schema.ChatBody, data)
        body.refuse_unsupported()
        max_tokens = longest_answer(
            body.longest_answer, client.settings.answer_tokens, limits_of(http)
        )
        return ParsedQuestion(body, max_tokens, caller_of(http))

    async def ask(http: Request) -> tuple[Asked, ParsedQuestion, int]:
        """Besides, how much of the answer the client has. Once this has returned
        nothing keeps the pictures' bytes alive."""
        meter = await _counted(client, http)
        async with bodies.read(http, partial(draft_of, http)) as (draft, sha256):
            with client.metrics.question() as watch:
                skip = last_event_id(http)
                asker = asker_of(
                    http,
                    sha256,
                    max_tokens=draft.max_tokens,
                    is_batch=draft.is_batch,
                    streams=draft.streams,
                )
                watch.of(asker.caller, draft.model)
                known = draft.recalled(decoder)
                asked = await client.recall(known, asker, watch, meter)
                if asked is None:
                    await meter.check("image-tokens", len(draft.pictures))
                    async with client.place(asker, draft.model, meter) as place:
                        work = _ask(client, decoder, draft, place, watch)
                        asked = await _unless_gone(http, work)
            draft.forget_pictures()
            return asked, draft, skip

    @router.post("/v1/chat/completions")
    async def chat_completions(http: Request) -> Response:
        asked, draft, skip = await ask(http)
        reply = Reply(asked.job.job_id, asked.job.created, asked.model)
        if asked.is_cached:  # there is no job to look at, or not for long
            headers = {"x-cache": "hit"}
        else:
            headers = {"x-cache": "miss", "x-job-id": asked.job.job_id}
        if not draft.streams:
            answer = await _unless_gone(http, finished(asked.events))
            return JSONResponse(reply.complete(answer), headers=headers)
        events = await _unless_gone(http, started(asked.events))
        return event_stream(reply.stream(events, draft.includes_usage, skip), headers)

    @router.get("/v1/models")
    async def models(http: Request) -> dict[str, Any]:
        served = {worker.model for worker in await client.workers()}
        names = sorted(name for name in served if may_ask(name, limits_of(http)))
        return {"object": "list", "data": [_model(name) for name in names]}

    @router.get("/v1/models/{name}")
    async def model(name: str, http: Request) -> dict[str, Any]:
        return _model(serving(name, await client.workers(), limits_of(http)).model)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """This process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(http: Request) -> Response:
        """Whether a question could be answered now; if not, why. Strangers are not
        told which models answer."""
        workers: list[WorkerInfo] = []
        state: dict[str, Any] = {"status": "ready"}
        status, headers = 200, {}
        try:
            workers = await client.workers()
            serving("", workers, Limits())
        except EdgeError as refusal:
            state = {"status": refusal.code} | refusal.body()
            status, headers = refusal.status, headers_of(refusal)
        if http.state.caller is None:
            return JSONResponse(state, status, headers)
        state |= {
            "models": sorted({worker.model for worker in workers}),
            "vision": sorted({worker.vision for worker in workers}),
            "runtime": sorted({worker.runtime for worker in workers}),
            "slots": sum(worker.n_slots for worker in workers),
        }
        return JSONResponse(state, status, headers)

    return router


def _model(name: str) -> dict[str, Any]:
    """A model by its name, with what has to be said of it."""
    warning = notice({name}, "en")
    about = {"object": "model", "created": int(time.time()), "owned_by": "edge-vl"}
    return {"id": name} | ({"description": warning} if warning else {}) | about


async def _counted(client: Client, http: Request) -> Meter:
    """What the question costs from here on, after the request itself: it counts before
    its body is read, which costs something too."""
    caller = caller_of(http)
    meter = Meter(client.ledger, caller, limits_of(http), http.state.ratelimit)
    try:
        await meter.charge("requests", 1)
    except EdgeError as refusal:
        client.metrics.refused(refusal, caller)
        raise
    return meter


async def _ask(
    client: Client,
    decoder: PictureDecoder,
    draft: ParsedQuestion,
    place: Place,
    watch: Stopwatch,
) -> Asked:
    if not place.job.is_new:
        return client.asked_before(place, watch)
    request, pictures = await draft.vetted(decoder)
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

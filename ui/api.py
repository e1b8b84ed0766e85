"""The HTTP API: /v1/chat/completions, /v1/models, /health, /ready."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.errors import EdgeError
from edge.jobs.fleet import WorkerInfo
from edge.limits import Limits
from ui.admission import may_ask, serving
from ui.asking import Asked
from ui.body import Bodies, parse
from ui.client import Client
from ui.error_handlers import headers_of
from ui.event_streams import await_answer, await_start, unless_gone
from ui.jobs import last_event_id
from ui.meter import Meter
from ui.model_entry import described, entry
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.request_caller import caller_of, limits_of, longest_answer, submission_of
from ui.sse import Reply, event_stream


@dataclass(frozen=True)
class Delivery:
    """How a client wants its answer, which may hold calls if it `has_tools`; it has the
    first `skip` characters already."""

    streams: bool
    includes_usage: bool
    skip: int
    has_tools: bool


def routes(client: Client) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()
    bodies = Bodies(client.metrics)
    default_tokens = client.settings.answer_tokens

    async def ask(http: Request) -> tuple[Asked, Delivery]:
        """Reads and asks the question of a request. When this returns nothing keeps the
        bytes of its pictures alive."""
        meter = await _charge_request(client, http)
        build = partial(_parse_question, http, default_tokens)
        async with bodies.read(http, build) as question:
            with client.metrics.question() as watch:
                watch.of(caller_of(http), question.model)
                delivery = Delivery(
                    question.streams,
                    question.includes_usage,
                    last_event_id(http),
                    question.has_tools,
                )
                submission = submission_of(
                    http,
                    question.body_hash,
                    max_tokens=question.max_tokens,
                    is_batch=question.is_batch,
                    streams=question.streams,
                    has_tools=question.has_tools,
                )
                work = client.ask(submission, question, meter, watch)
                return await unless_gone(http, work), delivery

    @router.post("/v1/chat/completions")
    async def chat_completions(http: Request) -> Response:
        asked, delivery = await ask(http)
        job = asked.job
        reply = Reply(
            job.job_id, job.created, asked.model, has_tools=delivery.has_tools
        )
        if asked.is_cached:  # there is no job to look at, or not for long
            headers = {"x-cache": "hit"}
        else:
            headers = {"x-cache": "miss", "x-job-id": job.job_id}
        if not delivery.streams:
            answer = await unless_gone(http, await_answer(asked.events))
            return JSONResponse(reply.complete(answer), headers=headers)
        events = await unless_gone(http, await_start(asked.events))
        lines = reply.stream(events, delivery.includes_usage, delivery.skip)
        return event_stream(lines, headers)

    @router.get("/v1/models")
    async def models(http: Request) -> dict[str, Any]:
        served = {worker.model for worker in await client.workers()}
        names = sorted(name for name in served if may_ask(name, limits_of(http)))
        return {"object": "list", "data": [entry(name) for name in names]}

    @router.get("/v1/models/{name}")
    async def model(name: str, http: Request) -> dict[str, Any]:
        """With its limits, and how its authors sample it."""
        limits = limits_of(http)
        served = serving(name, await client.workers(), limits)
        return described(served, client.settings, limits)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """This process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(http: Request) -> Response:
        """Whether a question could be answered now, and the error if not. On a server
        with keys only callers with a key see the models."""
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


def _parse_question(
    http: Request, default_tokens: int, data: bytearray
) -> ParsedQuestion:
    body = parse(ChatBody, data)
    body.refuse_unsupported()
    max_tokens = longest_answer(body.longest_answer, default_tokens, limits_of(http))
    # 32 MiB take a while: only a named question needs it
    is_named = "idempotency-key" in http.headers
    body_hash = hashlib.sha256(data).hexdigest() if is_named else ""
    return ParsedQuestion(body, max_tokens, caller_of(http), body_hash)


async def _charge_request(client: Client, http: Request) -> Meter:
    """Charges the request before its body is read, which costs time too. Returns the
    meter for the rest of the question."""
    caller = caller_of(http)
    meter = Meter(client.ledger, caller, limits_of(http), http.state.ratelimit)
    try:
        await meter.charge("requests", 1)
    except EdgeError as refusal:
        client.metrics.refused(refusal, caller)
        raise
    return meter

"""The HTTP API: /v1/chat/completions, /v1/models, /health, /ready."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.errors import EdgeError
from edge.jobs.fleet import WorkerInfo
from edge.limits import Limits
from edge.qwen3vl.tasks import TASKS
from ui.admission import may_ask, serving
from ui.body import parse
from ui.client import Client
from ui.error_shape import headers_of
from ui.jobs import last_event_id
from ui.model_entry import described
from ui.openai.answers import ChatCompletion, Model, ModelList
from ui.openai.body import ChatBody
from ui.openapi import documented
from ui.questions import Questions
from ui.request_caller import limits_of
from ui.respond import respond
from ui.sse import Reply


def routes(client: Client, questions: Questions) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    @router.post("/v1/chat/completions")
    @documented(body=ChatBody, answer=ChatCompletion, stream="text/event-stream")
    async def chat_completions(http: Request) -> Response:
        skip = last_event_id(http)
        received = await questions.receive(http, _read)
        asked, job = received.asked, received.asked.job
        reply = Reply(
            job.job_id,
            job.created,
            asked.model,
            has_tools=received.has_tools,
            n=received.n_answers,
            are_equal=not asked.others,
        )
        return await respond(http, received, reply, skip)

    @router.get("/v1/models")
    @documented(answer=ModelList)
    async def models(http: Request) -> dict[str, Any]:
        """The default model first; each with its limits, and how its authors sample
        it."""
        limits = limits_of(http)
        found: dict[str, WorkerInfo] = {}
        for worker in await client.workers():
            if may_ask(worker, limits):
                found.setdefault(worker.model, worker)
        data = [described(one, client.settings, limits) for one in found.values()]
        return {"object": "list", "data": data}

    @router.get("/v1/models/{name}")
    @documented(answer=Model)
    async def model(name: str, http: Request) -> dict[str, Any]:
        """With its limits, how its authors sample it, and its ready tasks, as long as
        the key allows."""
        limits = limits_of(http)
        served = await client.serving(name, limits)
        tasks = [
            task.to_json()
            | {"max_tokens": min(task.max_tokens, limits.max_tokens or task.max_tokens)}
            for task in TASKS.values()
        ]
        return described(served, client.settings, limits) | {"tasks": tasks}

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


def _read(data: bytearray) -> tuple[ChatBody, None]:
    return parse(ChatBody, data), None

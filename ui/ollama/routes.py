"""Ollama's API: questions, and what it tells of the served models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.jobs.fleet import WorkerInfo
from ui.admission import may_ask
from ui.body import check_headers, parse
from ui.client import Client
from ui.event_streams import await_answer, await_start, unless_gone
from ui.field_names import FieldNames
from ui.ollama.body import OllamaBody, OllamaChat, OllamaPrompt
from ui.ollama.models import VERSION, listed, loaded, shown
from ui.ollama.reply import OllamaReply
from ui.ollama.translation import NothingAsked, chat_of
from ui.openai.answers import Answered
from ui.openai.body import ChatBody
from ui.openai.values import Body
from ui.openapi import documented
from ui.questions import Questions
from ui.request_caller import limits_of
from ui.sse import event_stream

LINES = "application/x-ndjson"


class ShowBody(Body):
    model: str = ""
    name: str = ""  # the older field


def ollama_routes(client: Client, questions: Questions) -> APIRouter:
    """The API over `client`."""
    router = APIRouter()

    async def models(http: Request) -> list[WorkerInfo]:
        """A worker of each model that the caller may ask."""
        limits = limits_of(http)
        found = {worker.model: worker for worker in await client.workers()}
        return [found[name] for name in sorted(found) if may_ask(found[name], limits)]

    async def answer(http: Request, kind: type[OllamaBody]) -> Response:
        names = FieldNames()

        def read(data: bytearray) -> tuple[ChatBody, str]:
            body = parse(kind, data)
            return chat_of(body, names), body.model

        is_chat = kind is OllamaChat
        with names.in_errors():
            try:
                received = await questions.receive(http, read)
            except NothingAsked as loading:
                served = await client.serving(loading.model, limits_of(http))
                name = loading.model or served.model
                reply = OllamaReply(name, names, is_chat=is_chat, has_tools=False)
                return JSONResponse(reply.loaded(stays=loading.stays))
            asked = received.asked
            reply = OllamaReply(
                received.kept or asked.model,
                names,
                is_chat=is_chat,
                has_tools=received.has_tools,
            )
            if not received.streams:
                whole = await unless_gone(http, await_answer(asked.events))
                return JSONResponse(reply.complete(whole), headers=received.headers)
            events = await unless_gone(http, await_start(asked.events))
            return event_stream(reply.stream(events), received.headers, LINES)

    @router.post("/api/chat")
    @documented(body=OllamaChat, answer=Answered, stream=LINES)
    async def chat(http: Request) -> Response:
        return await answer(http, OllamaChat)

    @router.post("/api/generate")
    @documented(body=OllamaPrompt, answer=Answered, stream=LINES)
    async def generate(http: Request) -> Response:
        return await answer(http, OllamaPrompt)

    @router.get("/api/tags")
    async def tags(http: Request) -> dict[str, Any]:
        return {"models": [listed(served) for served in await models(http)]}

    @router.get("/api/ps")
    async def running(http: Request) -> dict[str, Any]:
        here = [one for one in await models(http) if one.loading_s is None]
        return {"models": [loaded(served) for served in here]}

    @router.post("/api/show")
    @documented(body=ShowBody, answer=Answered)
    async def show(http: Request) -> dict[str, Any]:
        check_headers(http)
        body = parse(ShowBody, bytearray(await http.body()))
        name = body.model or body.name
        return shown(await client.serving(name, limits_of(http)))

    @router.get("/api/version")
    async def version() -> dict[str, str]:
        return {"version": VERSION}

    return router

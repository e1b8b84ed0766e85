"""The HTTP API of responses: /v1/responses. Other callers than their own get 404."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response as HttpResponse

from edge.errors import InvalidRequest, Unavailable
from edge.events import Finished
from ui.client import Client
from ui.event_streams import Events, await_answer, await_start, unless_gone
from ui.openai.answers import Answered
from ui.openapi import documented
from ui.pages import page
from ui.questions import Questions, Received
from ui.request_caller import caller_of
from ui.responses.body import ResponsesBody
from ui.responses.draft import ResponseDraft
from ui.responses.reply import Response
from ui.responses.stored import Stored
from ui.sse import event_stream

PIECE = 64 << 10  # bytes of a page of input items


def response_routes(client: Client, questions: Questions) -> APIRouter:
    """The API over `client`."""
    router = APIRouter(prefix="/v1/responses")
    reading = asyncio.Semaphore(1)  # inputs, of 16 MiB at most

    @router.post("")
    @documented(body=ResponsesBody, answer=Answered, stream="text/event-stream")
    async def create(http: Request) -> HttpResponse:
        stored = Stored(client, caller_of(http))
        draft = ResponseDraft(stored)
        with draft.in_errors():
            received = await questions.receive_draft(http, draft)
            response = _response(received)
            if draft.stores:
                await store(stored, response, draft)
            events = received.asked.events
            if draft.stores:
                stays = draft.is_background or bool(http.headers.get("idempotency-key"))
                events = await stored.keeping(response, events, stays=stays)
            if draft.is_background:
                client.go_on(_read_all(events))
                found = await stored.find(response.id)
                if not received.streams:
                    return JSONResponse(found.body(), headers=received.headers)
                lines = response.stream(stored.follow(found))
                return event_stream(lines, received.headers)
            if received.streams:
                events = await unless_gone(http, await_start(events))
                return event_stream(response.stream(events), received.headers)
            answer = await unless_gone(http, await_answer(events))
        body = response.body(Finished(answer))
        return JSONResponse(body, headers=received.headers)

    async def store(stored: Stored, response: Response, draft: ResponseDraft) -> None:
        """Stores a response. One that cannot be stored is answered all the same, except
        in the background, where nobody could read it."""
        try:
            await stored.put(response, draft.sent)
        except Unavailable:
            if draft.is_background:
                await client.cancel(response.job_id)
                raise
            draft.stores = response.asked["store"] = False
        draft.sent = ""

    @router.get("/{response_id}")
    @documented(answer=Answered, stream="text/event-stream")
    async def retrieve(
        response_id: str,
        http: Request,
        stream: bool = False,
        starting_after: Annotated[int, Query(ge=-1)] = -1,
    ) -> HttpResponse:
        """A response; or its events again, behind the one of this number."""
        stored = Stored(client, caller_of(http))
        found = await stored.find(response_id)
        if not stream:
            return JSONResponse(found.body())
        events = stored.follow(found)
        return event_stream(found.response.stream(events, starting_after))

    @router.delete("/{response_id}")
    async def delete(response_id: str, http: Request) -> dict[str, Any]:
        stored = Stored(client, caller_of(http))
        await stored.delete(await stored.find(response_id))
        return {"id": response_id, "object": "response", "deleted": True}

    @router.post("/{response_id}/cancel")
    async def cancel(response_id: str, http: Request) -> dict[str, Any]:
        stored = Stored(client, caller_of(http))
        found = await stored.find(response_id)
        if not found.response.asked["background"]:
            raise InvalidRequest(
                "Only a response in the background is cancelled like this. Close the "
                "connection of any other."
            )
        await stored.cancel(found)
        return (await stored.find(response_id)).body()

    @router.get("/{response_id}/input_items")
    async def input_items(
        response_id: str,
        http: Request,
        after: str = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> HttpResponse:
        """The items that the client sent for this response, without those of the
        responses before it."""
        stored = Stored(client, caller_of(http))
        found = await stored.find(response_id)

        async def read_page() -> bytes:
            async with reading:
                sent = await stored.store.sent(response_id)
                job_id, backwards = found.response.job_id, order == "desc"
                return await asyncio.to_thread(
                    _page, sent, job_id, after, limit, backwards=backwards
                )

        async def pieces() -> AsyncGenerator[bytes]:
            """The page, after an empty piece. It is held until its client has it."""
            address = caller_of(http).address
            with client.pages_in_flight.holding(address) as hold:
                hold(await stored.store.n_sent(response_id))
                data = await read_page()
                yield b""
                for at in range(0, len(data), PIECE):
                    yield data[at : at + PIECE]

        body = pieces()
        await anext(body)  # refused while a proper HTTP status can still be sent
        return StreamingResponse(body, media_type="application/json")

    return router


def _response(received: Received[dict[str, Any]]) -> Response:
    asked, job = received.asked, received.asked.job
    return Response(
        job.job_id, job.created, asked.model, received.has_tools, received.kept
    )


async def _read_all(events: Events) -> None:
    async for _ in events:
        pass


def _page(
    sent: bytes, job_id: str, after: str, limit: int, *, backwards: bool
) -> bytes:
    """One page of the list of items in `sent`, as JSON. Raises InvalidRequest."""
    items = [_listed(i, item, job_id) for i, item in enumerate(json.loads(sent))]
    if backwards:
        items.reverse()
    return json.dumps(page(items, after, limit)).encode()


def _listed(i: int, item: dict[str, Any], job_id: str) -> dict[str, Any]:
    """An item with its id, whose content is a list of parts."""
    if isinstance(text := item.get("content"), str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": text}]
    return {"id": f"item_{job_id}_{i}", "status": "completed"} | item

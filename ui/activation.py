"""`/v1/models/{model}/activate`: an operator makes another model the default, and sees
how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from edge.errors import Forbidden
from edge.jobs.switching import Switch, Switching
from edge.redis_clients import UNREACHABLE, sync_client
from ui.body import check_headers, parse
from ui.client import Client
from ui.door import is_admin
from ui.openai.answers import Answered
from ui.openai.values import Body
from ui.openapi import documented
from ui.subscriptions import broker_away


class ActivateBody(Body):
    with_gap: bool = False


class ModelSwitch(Answered):
    object: Literal["model.switch"]
    model: str
    state: Literal["wished", "loading", "ending", "done", "failed"]
    message: str


def activation_route(client: Client) -> APIRouter:
    """The route over `client`."""
    router = APIRouter()
    switching = Switching(sync_client(client.settings.broker_url))

    @router.post("/v1/models/{model}/activate")
    @documented(body=ActivateBody, answer=ModelSwitch)
    async def activate(model: str, http: Request) -> JSONResponse:
        """Status 202 while the model loads; GET tells how far it is. Sent again after a
        failure, it begins again."""
        _check_admin(http)
        body = ActivateBody()
        if data := await http.body():
            check_headers(http)
            body = parse(ActivateBody, bytearray(data))
        return await _reply(lambda: switching.switch_to(model, with_gap=body.with_gap))

    @router.get("/v1/models/{model}/activate")
    @documented(answer=ModelSwitch)
    async def progress(model: str, http: Request) -> JSONResponse:
        """How far the switch to a model is, and why it failed; 202 until it is over.
        404 when there was none lately."""
        _check_admin(http)
        return await _reply(lambda: switching.progress(model))

    return router


def _check_admin(http: Request) -> None:
    if not is_admin(http.state.key):
        raise Forbidden(
            "Only an admin key may change the default model; on its machine, "
            "`edge switch` does."
        )


async def _reply(find: Callable[[], Switch]) -> JSONResponse:
    try:
        found = await asyncio.to_thread(find)
    except UNREACHABLE as error:
        raise broker_away(error) from error
    described = {"object": "model.switch"} | vars(found)
    return JSONResponse(described, 200 if found.is_over else 202)

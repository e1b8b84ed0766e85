"""`POST /v1/models/{model}/activate`: an operator makes another model the default."""

from __future__ import annotations

import asyncio
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
        """Status 202 while the model loads: send it again to see how far it is."""
        if not is_admin(http.state.key):
            raise Forbidden(
                "Only an admin key may change the default model; on its machine, "
                "`edge switch` does."
            )
        body = ActivateBody()
        if data := await http.body():
            check_headers(http)
            body = parse(ActivateBody, bytearray(data))
        try:
            found = await asyncio.to_thread(
                switching.switch_to, model, with_gap=body.with_gap
            )
        except UNREACHABLE as error:
            raise broker_away(error) from error
        return JSONResponse(_described(found), 200 if found.is_over else 202)

    return router


def _described(found: Switch) -> dict[str, str]:
    return {"object": "model.switch"} | vars(found)

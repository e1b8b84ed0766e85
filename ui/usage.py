"""`GET /v1/usage`: the usage of a key, by day and model; an admin sees all keys."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from edge.redis_clients import UNREACHABLE
from ui.client import Client
from ui.door import is_admin
from ui.request_caller import caller_of, limits_of
from ui.subscriptions import broker_away


def usage_route(client: Client) -> APIRouter:
    """The route over `client`."""
    router = APIRouter()

    @router.get("/v1/usage")
    async def usage(
        http: Request, days: Annotated[int, Query(ge=1, le=400)] = 31
    ) -> dict[str, Any]:
        sees_all = is_admin(http.state.key) or not client.keys.look()
        tenant = None if sees_all else caller_of(http).tenant
        try:
            found = await client.ledger.usage(days, tenant)
        except UNREACHABLE as error:
            raise broker_away(error) from error
        names = {row.tenant: client.keys.name_of(row.tenant) for row in found}
        return {
            "object": "list",
            "limits": str(limits_of(http)),
            "data": [vars(row) | {"key": names[row.tenant]} for row in found],
        }

    return router

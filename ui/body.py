"""The bodies of API requests: bounded while they arrive, parsed beside the event loop.

    headers -> bytes, within a budget of all requests -> `strict_json` -> pydantic

Small bodies are parsed at once. Large bodies wait for one another: the parser holds
Python's lock, and one at a time bounds its memory. Bodies of middle size have a lane of
their own and do not wait for those with pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from edge.errors import (
    BodyTimeout,
    BodyTooLarge,
    Cancelled,
    EdgeError,
    UnsupportedMedia,
)
from ui import strict_json
from ui.complaint import complaint
from ui.ignored import check_ignored
from ui.in_flight import InFlight
from ui.metrics import Metrics

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

MAX_BODY = 32 << 20  # bytes, as in nginx/build.py
READ_S = 60.0  # for the whole body; nginx has received it before it connects here
INLINE = 4 << 10  # bytes: parsed in less than a millisecond, unless there is a schema
MIDDLE = 1 << 20  # bytes


class Bodies:
    """Reads the bodies of this process. Refusals are counted in `metrics`."""

    def __init__(self, metrics: Metrics, in_flight: InFlight) -> None:
        self._metrics = metrics
        self._in_flight = in_flight
        self._lanes = asyncio.Semaphore(1), asyncio.Semaphore(1)

    @asynccontextmanager
    async def read(
        self, http: Request, build: Callable[[bytearray], T]
    ) -> AsyncIterator[T]:
        """The result of `build` for the body, whose bytes count as being in flight
        until the end of the block.

        Raises BodyTooLarge, BodyTimeout, UnsupportedMedia, Unavailable when too many
        bytes are in flight, Cancelled when the client left, and the errors of `build`.
        """
        with self.holding(http) as hold:
            try:
                check_headers(http)
                data = await _receive(http, hold)
                built = await self._build(data, build)
            except EdgeError as refusal:
                if not isinstance(refusal, Cancelled):
                    caller = getattr(http.state, "caller", None)
                    self._metrics.refused(refusal, caller)
                raise
            del data
            yield built

    async def _build(self, data: bytearray, build: Callable[[bytearray], T]) -> T:
        if len(data) <= INLINE and b"schema" not in data:
            return build(data)
        return await self.work(len(data), lambda: build(data))

    async def work(self, n_bytes: int, build: Callable[[], T]) -> T:
        """The result of `build`, which reads this many bytes: in a thread, when the
        lane for this size is free."""
        async with self._lanes[n_bytes > MIDDLE]:
            return await asyncio.to_thread(build)

    def holding(self, http: Request) -> AbstractContextManager[Callable[[int], None]]:
        """A function to call with the size of each piece that has arrived. It raises
        Unavailable when too many bytes are in flight."""
        return self._in_flight.holding(_address(http))


def parse(model: type[Model], data: bytearray) -> Model:
    """The `model` that a body holds. Raises InvalidRequest, with the path of the
    field."""
    return validate(model, strict_json.load(data))


def validate(model: type[Model], value: Any) -> Model:
    """The `model` that a JSON value is. Raises InvalidRequest, as `parse`."""
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        raise complaint(first, first["loc"], value) from None
    check_ignored(found)
    return found


def check_headers(http: Request) -> None:
    """Raises UnsupportedMedia for a body that is not plain JSON, BodyTooLarge for one
    whose Content-Length is too large."""
    coding = http.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMedia(
            f"The body is sent with Content-Encoding: {coding[:40]}, which this server "
            "does not read. Send it as it is."
        )
    given = http.headers.get("content-type", "")
    kind, _, options = given.lower().partition(";")
    kind, options = kind.strip(), options.replace(" ", "").replace('"', "")
    if kind != "application/json" and not kind.endswith("+json"):
        called = f"as {kind[:80]}" if kind else "without a Content-Type"
        raise UnsupportedMedia(
            f"The body was sent {called}. Send JSON with the header "
            "Content-Type: application/json."
        )
    if "charset=" in options and "charset=utf-8" not in options:
        raise UnsupportedMedia("JSON is read in UTF-8 only. Send it in UTF-8.")
    length = http.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise _too_large()


async def _receive(http: Request, hold: Callable[[int], None]) -> bytearray:
    data = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for piece in http.stream():
                if len(data) + len(piece) > MAX_BODY:
                    raise _too_large()
                hold(len(piece))
                data += piece
    except TimeoutError:
        raise BodyTimeout(
            f"The body did not arrive within {READ_S:.0f} seconds. Send it faster."
        ) from None
    except ClientDisconnect:
        raise Cancelled("The client hung up.") from None
    return data


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {MAX_BODY >> 20} MiB. Send fewer or smaller pictures."
    )


def _address(http: Request) -> str:
    caller = getattr(http.state, "caller", None)  # as the door decided
    if caller is not None:
        return str(caller.address)
    return http.client.host if http.client else ""

"""Request bodies: bounded in bytes, time and number."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from fastapi import Request

from edge.errors import (
    BodyTimeout,
    BodyTooLarge,
    Cancelled,
    EdgeError,
    InvalidRequest,
    Unavailable,
)
from ui import body, in_flight
from ui.body import Bodies
from ui.in_flight import InFlight
from ui.metrics import Metrics

KB = 1 << 10


def request(
    pieces: Iterable[bytes] | AsyncIterator[bytes],
    address: str = "10.0.0.1",
    **headers: str,
) -> Request:
    """A request whose body comes in `pieces`; when they end without being asked to, the
    client has left."""

    async def every() -> AsyncIterator[dict[str, Any]]:
        if isinstance(pieces, AsyncIterator):
            async for piece in pieces:
                yield {"type": "http.request", "body": piece, "more_body": True}
        else:
            for piece in pieces:
                yield {"type": "http.request", "body": piece, "more_body": True}
            yield {"type": "http.request", "body": b"", "more_body": False}
        yield {"type": "http.disconnect"}

    more = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"content-type": "application/json"} | more
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [
            (k.replace("_", "-").encode(), v.encode()) for k, v in given.items()
        ],
        "client": (address, 1),
    }
    return Request(scope, every().__anext__)


async def read(bodies: Bodies, http: Request) -> bytes:
    async with bodies.read(http, bytes) as found:
        return found


def refused(metrics: Metrics) -> dict[str, float]:
    samples = next(iter(metrics.requests.collect())).samples
    totals = (one for one in samples if one.name.endswith("_total") and one.value)
    return {one.labels["code"]: one.value for one in totals}


@pytest.mark.parametrize("n", [0, 1, body.INLINE, body.INLINE + 1, body.MIDDLE + 1])
async def test_a_body_arrives_whole(n: int) -> None:
    data = b"x" * n
    found = await read(Bodies(Metrics(), InFlight()), request([data[:7], data[7:]]))
    assert found == data


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_body_that_is_too_large_is_not_read_to_its_end(says_so: bool) -> None:
    n_read = 0

    def endless() -> Iterable[bytes]:
        nonlocal n_read
        while True:
            n_read += 1
            yield b"x" * (1 << 20)

    more = {"content_length": str(1 << 40)} if says_so else {}
    metrics = Metrics()
    with pytest.raises(BodyTooLarge, match="32 MiB"):
        await read(Bodies(metrics, InFlight()), request(endless(), **more))
    assert n_read == (0 if says_so else 33)
    assert refused(metrics) == {"request_too_large": 1}


async def slowly(n: int = 10_000) -> AsyncIterator[bytes]:
    for _ in range(n):
        await asyncio.sleep(0.01)
        yield b"x"


async def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "READ_S", 0.2)
    with pytest.raises(BodyTimeout):
        await read(Bodies(Metrics(), InFlight()), request(slowly()))


async def test_a_client_that_leaves_ends_the_reading() -> None:
    metrics = Metrics()
    with pytest.raises(Cancelled):
        await read(Bodies(metrics, InFlight()), request(slowly(3)))
    assert refused(metrics) == {}


# --- how much at once -------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 KB in flight, half of it from one address; 10 KB of each body are free."""
    monkeypatch.setattr(in_flight, "FREE", 10 * KB)
    monkeypatch.setattr(in_flight, "IN_FLIGHT", 100 * KB)
    monkeypatch.setattr(in_flight, "SHARE", 50 * KB)


async def held(bodies: Bodies, n: int, address: str, until: asyncio.Event) -> str:
    """Holds a body of `n` KB; the code of the error, where it is refused."""
    try:
        async with bodies.read(request([b"x" * n * KB], address), bytes):
            await until.wait()
            return ""
    except EdgeError as refusal:
        return refusal.code


@pytest.mark.usefixtures("small")
async def test_bytes_in_flight_are_bounded_and_small_bodies_pass() -> None:
    bodies, over = Bodies(Metrics(), InFlight()), asyncio.Event()
    many = [
        asyncio.create_task(held(bodies, 50, f"10.0.0.{n}", over)) for n in range(5)
    ]
    await asyncio.sleep(0.2)
    assert sum(task.done() for task in many) == 3
    with pytest.raises(Unavailable) as caught:
        await read(bodies, request([b"x" * 50 * KB], "10.0.0.9"))
    assert caught.value.retry_after_s
    small = await read(bodies, request([b"x" * 10 * KB], "10.0.0.9"))
    assert len(small) == 10 * KB
    over.set()
    codes = sorted([await task for task in many])
    assert codes == ["", "", *["service_unavailable"] * 3]
    for n in range(4):  # and all of it is given back
        await read(bodies, request([b"x" * 60 * KB], f"10.0.1.{n}"))
    assert not bodies._in_flight._held


@pytest.mark.usefixtures("small")
async def test_one_address_gets_half_of_the_bytes_in_flight() -> None:
    bodies, over = Bodies(Metrics(), InFlight()), asyncio.Event()
    greedy = [asyncio.create_task(held(bodies, 30, "10.0.0.1", over)) for _ in range(9)]
    await asyncio.sleep(0.1)
    other = asyncio.create_task(held(bodies, 50, "10.0.0.2", over))
    await asyncio.sleep(0.1)
    over.set()
    assert await other == ""
    assert [await task for task in greedy].count("") == 2


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("how", ["refused", "left", "cancelled", "a bug"])
async def test_no_bytes_stay_counted_after_errors(how: str) -> None:
    def build(data: bytearray) -> None:
        raise InvalidRequest("No.") if how == "refused" else ZeroDivisionError

    bodies = Bodies(Metrics(), InFlight())
    pieces: Any = [b"x" * 40 * KB]
    if how in ("left", "cancelled"):

        async def some() -> AsyncIterator[bytes]:
            yield b"x" * 40 * KB
            await asyncio.sleep(0.05 if how == "left" else 60)

        pieces = some()

    async def reading() -> None:
        async with bodies.read(request(pieces), build):
            raise AssertionError

    task = asyncio.create_task(reading())
    await asyncio.sleep(0.02)
    if how == "cancelled":
        assert bodies._in_flight._held
        task.cancel()
    with pytest.raises((EdgeError, ZeroDivisionError, asyncio.CancelledError)):
        await task
    assert not bodies._in_flight._held


async def test_a_middle_body_does_not_wait_for_large_ones() -> None:
    """Each parse of a large one takes a while; they wait for one another only."""
    go_on, begun = threading.Event(), threading.Event()

    def slow(_data: bytearray) -> None:
        begun.set()
        assert go_on.wait(60)

    bodies = Bodies(Metrics(), InFlight())

    async def large() -> None:
        async with bodies.read(request([b"x" * (2 << 20)]), slow):
            pass

    tasks = [asyncio.create_task(large()) for _ in range(3)]
    assert await asyncio.to_thread(begun.wait, 60)
    middle = json.dumps(["x" * 100_000]).encode()
    async with asyncio.timeout(50):  # less than the large ones wait
        assert await read(bodies, request([middle])) == middle
    go_on.set()
    await asyncio.gather(*tasks)

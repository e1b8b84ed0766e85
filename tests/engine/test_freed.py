"""What a question took is freed with it, before Python looks for cycles."""

from __future__ import annotations

import asyncio
import gc
import queue
import weakref
from collections.abc import Iterator
from contextlib import closing, suppress

import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from edge.engine.encode_queue import EncodeJob, PictureKey
from edge.engine.encoder import Encoder, Outcome
from edge.engine.engine import Engine
from edge.errors import Cancelled, QueueFull
from edge.images import Picture
from edge.schemas.reading import read
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.engine.asking import Pause, ask, events
from tests.engine.test_batch import embed, submit
from ui.event_streams import unless_gone

PICTURE = Picture(32, 32, bytes(32 * 32 * 3))


@pytest.fixture(autouse=True)
def no_search_for_cycles() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_arrays_of_a_picture_that_is_interrupted() -> None:
    arrays: list[weakref.ref[np.ndarray]] = []

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            patches = np.zeros(1000)
            arrays.append(weakref.ref(patches))
            raise Cancelled("nobody waits")

    results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    one = Encoder(Tower(), 0, lambda _, outcome: results.put(outcome), lambda _: None)
    one.start(EncodeJob(PictureKey("", PICTURE.ref.sha256), PICTURE, 1))
    assert isinstance(results.get(timeout=60), Cancelled)
    wait_for(lambda: arrays[0]() is None)
    one.close()


def test_the_states_of_a_batch() -> None:
    with closing(Engine(StubRuntime(n_slots=2), StubTower())) as engine:
        ticket = submit(engine, embed(*"abcd"))
        events(ticket)
        seen = [weakref.ref(one) for one in (ticket, *ticket._members)]
        del ticket
        wait_for(lambda: not any(one() for one in seen))


def test_the_constraint_of_an_answer_whose_cells_stay() -> None:
    """It may hold megabytes, and the cells stay for hours."""
    runtime = StubRuntime(answer='{"a": 1}', n_idle=1)
    with closing(Engine(runtime, StubTower())) as engine:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        events(ask(engine, "What? " * 20, grammar=read(schema)))
        assert runtime.cells  # idle
        assert not runtime._constraints


async def test_what_a_refused_request_held() -> None:
    pictures: list[weakref.ref[np.ndarray]] = []

    async def work() -> None:
        picture = np.zeros(1000)
        pictures.append(weakref.ref(picture))
        raise QueueFull("full")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with suppress(QueueFull):
        await unless_gone(Request({"type": "http"}, receive), work())
    await asyncio.sleep(0)
    assert pictures[0]() is None

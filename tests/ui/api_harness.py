"""A web process without a browser, and a worker without Celery that runs on demand."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image

from edge.engine.engine import Engine
from edge.engine.step import Sampled, Step
from edge.events import Event
from edge.jobs import keys
from edge.jobs.channel import RedisPublisher
from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from edge.jobs.submission import Submission
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import sync_client
from edge.request import Message, PictureRef, Request, SamplingParams, Wants
from edge.settings import Settings
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.jobs.jobs_harness import caller
from tests.test_images import encode
from ui.app import add_api
from ui.boundary import Boundary
from ui.client import Client
from ui.origins import Origins
from ui.question import SentPicture, digest_of
from worker.claiming import Claiming
from worker.metrics import Metrics as WorkerMetrics
from worker.preflight import Preflight
from worker.prepared import PreparedJobs
from worker.relay import Relay

BLACK = encode(Image.new("RGB", (64, 64)), "PNG")
POOL = WorkerInfo("", "", "f", "", 0).pool


@dataclass
class PictureQuestion:
    """A text about a black picture."""

    text: str
    model: str = ""
    max_tokens: int = 8
    scope: str = "me"

    wants: Wants = "answer"
    thinking_field = ""
    pictures = (SentPicture(digest_of(BLACK), lambda: BLACK),)

    def request(self, refs: Sequence[PictureRef], texts: Sequence[str] = ()) -> Request:
        message = Message("user", (*refs, self.text))
        sampling = SamplingParams(self.max_tokens)
        return Request((message,), sampling, self.model, scope=self.scope)


class ApiHarness:
    """Client and API over a real Redis; the stub behind them counts."""

    def __init__(
        self,
        url: str,
        *,
        answer: str = LONG_ANSWER,
        step_s: float = 0.0,
        n_kept: int = 0,
        **settings: Any,
    ) -> None:
        given = {"broker_url": url, "cache_url": url} | settings
        self.client = Client(Settings(**given))
        app = FastAPI(openapi_url=None)
        add_api(app, self.client)
        self.app = Boundary(app, Origins.of("ui", "", []))
        self._at: dict[str, httpx.AsyncClient] = {}
        self.http = self.at("127.0.0.1")
        self.sync = sync_client(url)
        self.runtime = StubRuntime(answer, n_cells=40_000, n_idle=n_kept, step_s=step_s)
        self.engine = Engine(self.runtime, StubTower())
        self.jobs = WorkerJobs(self.sync, POOL)
        self.publisher = RedisPublisher(self.sync)
        self.prepared = PreparedJobs()
        self.relay = Relay(
            self.engine,
            self.jobs,
            self.publisher,
            Claiming(self.jobs),
            WorkerMetrics(),
            self.prepared,
        )
        self.beat("here-1", n_slots=1)

    def at(self, address: str) -> httpx.AsyncClient:
        """A client at this address, without cookies so far."""
        if address not in self._at:
            transport = httpx.ASGITransport(self.app, client=(address, 1))
            self._at[address] = httpx.AsyncClient(
                transport=transport, base_url="http://ui", timeout=20
            )
        return self._at[address]

    def beat(self, name: str, n_slots: int, **more: Any) -> None:
        """As a worker does; but this heart beats once, so that must last."""
        info = WorkerInfo(name, "stub", "f", "stub", n_slots, **more)
        Heart(self.sync, info).beat()
        self.sync.zincrby(FLEET, 600, name)

    async def close(self) -> None:
        for http in self._at.values():
            await http.aclose()
        await self.client.close()
        self.engine.close()
        self.sync.close()

    async def ask(
        self, text: str = "hello", model: str = "", n: int = 8, owner: str = "me"
    ) -> list[Event]:
        """Asks as the page does, and lets the worker answer."""
        submission = Submission(caller(owner), max_tokens=n)
        question = PictureQuestion(text, model, n, submission.caller.scope)
        with self.client.metrics.question() as watch:
            meter = self.client.meter(submission)
            asked = await self.client.ask(submission, question, meter, watch)
        if not asked.is_cached:
            await asyncio.to_thread(self.relay.answer)
        return [event async for event in asked.events if event]

    def body(self, text: str = "hello", n: int = 10, **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"messages": messages, "max_tokens": n} | more

    async def post(
        self,
        text: str = "hello",
        n: int = 10,
        key: str = "",
        address: str = "127.0.0.1",
        **more: Any,
    ) -> httpx.Response:
        """Asks as an OpenAI client does, with this key, from this address."""
        headers = dict(more.pop("headers", {}))
        if key:
            headers["authorization"] = f"Bearer {key}"
        body = self.body(text, n, **more)
        http = self.at(address)
        return await http.post("/v1/chat/completions", json=body, headers=headers)

    def asking(self, *args: Any, **more: Any) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(self.post(*args, **more))

    @asynccontextmanager
    async def working(self, *, checks: bool = True) -> AsyncIterator[None]:
        """Meanwhile a worker answers, one job after the other."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                self.relay.answer()
                over.wait(0.01)

        preflight = None
        if checks:
            preflight = Preflight(
                self.engine, self.jobs, WorkerMetrics(), self.prepared
            )
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            self.relay.drain(0)  # or a failing test would not end
            await asyncio.to_thread(thread.join)
            if preflight:
                await asyncio.to_thread(preflight.close)

    def hold(self, after: int = 0) -> threading.Event:
        """The stub takes `after` more steps, and the next when the event is set."""
        go, run, taken = threading.Event(), self.runtime.run, itertools.count()

        def held(step: Step) -> list[Sampled]:
            if next(taken) >= after:
                go.wait(60)
            return run(step)

        self.runtime.run = held  # type: ignore[method-assign]
        return go

    async def followed(self, n: int = 1) -> None:
        """Until `n` jobs live and are followed."""
        await self.until(lambda: len(self.live) == n)
        await self.until(lambda: self.n_streams == n)

    async def until(self, condition: Any, seconds: float = 60) -> None:
        await asyncio.to_thread(wait_for, condition, seconds)

    def ids(self, key: str) -> list[str]:
        return [member.decode() for member in self.sync.zrange(key, 0, -1)]

    @property
    def n_streams(self) -> int:
        return self.client.subscriptions._n_open

    @property
    def waiting(self) -> list[str]:
        return self.ids(keys.WAITING(POOL))

    @property
    def running(self) -> list[str]:
        return self.ids(keys.RUNNING(POOL))

    @property
    def live(self) -> list[str]:
        return self.ids(keys.LIVE(POOL))


@asynccontextmanager
async def api_harness(url: str, **options: Any) -> AsyncIterator[ApiHarness]:
    with TemporaryDirectory() as data_dir:
        one = ApiHarness(url, **{"data_dir": Path(data_dir)} | options)
        try:
            yield one
        finally:
            await one.close()


def text_of(reply: httpx.Response) -> str:
    """The text of a stream."""
    frames = [part for part in reply.text.split("\n") if part.startswith("data: {")]
    bodies = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    return "".join(
        choice["delta"].get("content", "")
        for body in bodies
        for choice in body.get("choices", ())
    )


def code_of(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]

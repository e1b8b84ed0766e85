"""A client that records everything that happens to its question."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Any

import httpx

from edge.stubs.runtime import LONG_ANSWER

PATH = "/v1/chat/completions"
AWAY = ("no_worker", "service_unavailable")
NO_WORKER = ("no_worker",)  # a cache that is away makes no part of the service so


@dataclass
class Outcome:
    """`ends` holds a finish_reason or an error code for each terminal frame or body.
    Status 0 means that no answer came at all."""

    status: int = 0
    text: str = ""
    ends: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    retry_after: str | None = None
    job_id: str = ""
    is_done: bool = False
    began: float = 0.0
    first_s: float | None = None
    seconds: float = 0.0
    has_hung_up: bool = False

    @property
    def end(self) -> str:
        """The one end it had."""
        assert len(self.ends) == 1, self
        return self.ends[0]

    @property
    def is_right(self) -> bool:
        """Whether it is a whole answer, and the stub's."""
        return self.end == "length" and self.text == LONG_ANSWER[: len(self.text)]


def body(
    text: str = "hello",
    n: int = 20,
    stream: bool = True,
    picture: str = "",
    **more: Any,
) -> Any:
    content: list[Any] = [{"type": "text", "text": text}]
    if picture:
        content.append({"type": "image_url", "image_url": {"url": picture}})
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "max_tokens": n, "stream": stream, **more}


def address_of(key: str) -> str:
    """Where the client with this key is: each has an address of its own, since what an
    address may have is bounded, whatever it calls itself."""
    n = int.from_bytes(hashlib.sha256(key.encode()).digest()[:2])
    return f"127.1.{n >> 8}.{n & 255 or 1}"


def client_of(key: str) -> httpx.AsyncClient:
    """A client that shows this key, from its address. Without the certificates, which
    take longer to read than a refusal to come."""
    return httpx.AsyncClient(
        timeout=120,
        headers={"authorization": f"Bearer {key}"} if key else {},
        transport=httpx.AsyncHTTPTransport(
            verify=False,
            local_address=address_of(key),
            limits=httpx.Limits(max_connections=None),
        ),
    )


async def ask(
    url: str,
    text: str = "hello",
    n: int = 20,
    *,
    stream: bool = True,
    key: str = "",
    hang_up_s: float | None = None,
    headers: dict[str, str] | None = None,
    client: httpx.AsyncClient | None = None,
    **more: Any,
) -> Outcome:
    """Asks for `n` tokens; hangs up after `hang_up_s`."""
    outcome = Outcome(began=time.monotonic())
    own = client or client_of(key)
    try:
        async with asyncio.timeout(hang_up_s):
            await _hear(own, url, body(text, n, stream, **more), headers or {}, outcome)
    except TimeoutError:
        outcome.has_hung_up = True
    except httpx.HTTPError as error:
        outcome.ends.append(type(error).__name__)
    finally:
        if client is None:
            await own.aclose()
    outcome.seconds = time.monotonic() - outcome.began
    return outcome


async def answered(
    url: str, *args: Any, away: Container[str] = AWAY, **options: Any
) -> Outcome:
    """Asks a service that is whole; again for a minute while it refuses with a code of
    `away`: a part that stands still for seconds, on a busy machine, is away for it."""
    give_up = time.monotonic() + 60
    while True:
        outcome = await ask(url, *args, **options)
        is_refused = outcome.status in (502, 503) and outcome.end in away
        if not is_refused or time.monotonic() > give_up:
            return outcome
        await asyncio.sleep(0.2)


async def _hear(
    client: httpx.AsyncClient,
    url: str,
    question: Any,
    headers: dict[str, str],
    outcome: Outcome,
) -> None:
    async with client.stream("POST", url + PATH, json=question, headers=headers) as got:
        outcome.status = got.status_code
        outcome.retry_after = got.headers.get("retry-after")
        outcome.job_id = got.headers.get("x-job-id", "")
        if not got.headers.get("content-type", "").startswith("text/event-stream"):
            _read_body(json.loads(await got.aread()), outcome)
            return
        async for line in got.aiter_lines():
            if line.startswith(": "):
                outcome.comments.append(line[2:])
            elif line == "data: [DONE]":
                outcome.is_done = True
            elif line.startswith("data: "):
                _read_chunk(json.loads(line[6:]), outcome)


def _read_body(answer: Any, outcome: Outcome) -> None:
    if "error" in answer:
        outcome.ends.append(answer["error"]["code"])
        return
    [choice] = answer["choices"]
    outcome.text = choice["message"]["content"]
    outcome.ends.append(choice["finish_reason"])


def _read_chunk(chunk: Any, outcome: Outcome) -> None:
    if "error" in chunk:
        outcome.ends.append(chunk["error"]["code"])
        return
    for choice in chunk["choices"]:
        if text := choice["delta"].get("content"):
            outcome.text += text
            if outcome.first_s is None:
                outcome.first_s = time.monotonic() - outcome.began
        if choice["finish_reason"]:
            outcome.ends.append(choice["finish_reason"])


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Returns as soon as `condition()` holds; fails when it does not in time."""
    give_up = time.monotonic() + seconds
    while True:
        holds = condition()
        if await holds if isinstance(holds, Awaitable) else holds:
            return
        assert time.monotonic() < give_up, f"not within {seconds} s"
        await asyncio.sleep(0.05)


async def is_ready(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(url + "/ready")).status_code == 200
    except httpx.HTTPError:
        return False


async def is_not_ready(url: str) -> bool:
    return not await is_ready(url)

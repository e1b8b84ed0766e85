"""Caches vanish at any moment: an answer is slower, and never wrong."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from edge.jobs import cache_keys
from tests.faults.asking import NO_WORKER, PATH, Outcome, answered
from tests.faults.conftest import Start
from tests.faults.service import Service

pytestmark = [pytest.mark.redis, pytest.mark.faults]

SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow", "black")
N_QUESTIONS = 1000
N_USERS = 4
LEVELS = ("known", "prefix", "memory", "stored")
LIMIT_S = 600.0


def drawing(shape: str, colour: str, at: int = 40) -> str:
    """A data URL of one shape on white."""
    image = Image.new("RGB", (320, 256), "white")
    pen, box = ImageDraw.Draw(image), (at, at, at + 120, at + 120)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(at, at + 120), (at + 60, at), (at + 120, at + 120)], fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@asynccontextmanager
async def flushing(service: Service, *, every_s: float) -> Any:
    """The cache server is emptied again and again while the block runs."""

    async def flush() -> None:
        chance = random.Random(1)
        while True:
            await asyncio.sleep(chance.uniform(0.2, 1.8) * every_s)
            await asyncio.to_thread(service.cache.client.flushall)

    task = asyncio.create_task(flush())
    yield
    task.cancel()
    assert not task.done() or task.cancelled(), task


@pytest.mark.slow
async def test_the_cache_is_flushed_while_it_is_hit(start: Start) -> None:
    """F14: each picture and answer is asked for three times by each of three."""
    with start(answer_cache="on", worker=("--step-s", "0.001")) as service:
        urls = [drawing(SHAPES[n % 3], COLOURS[n % 5], n) for n in range(10)]

        async def one_user(key: str) -> list[Outcome]:
            return [
                await answered(
                    service.url, f"about {n}", key=key, picture=url, away=NO_WORKER
                )
                for _ in range(3)
                for n, url in enumerate(urls)
            ]

        async with flushing(service, every_s=0.02):
            lists = await asyncio.gather(*(one_user(key) for key in "abc"))
        outcomes = [one for outcomes in lists for one in outcomes]
        assert {one.status for one in outcomes} == {200}
        assert all(one.is_right for one in outcomes)
        assert "damaged" not in service.log("worker0")


@pytest.mark.slow
async def test_the_cache_server_dies_and_comes_back(start: Start) -> None:
    """P9: no question fails; what was encoded since is found again."""
    with start(worker=("--tower-s", "0.5")) as service:
        url = drawing("circle", "red")

        async def is_right(text: str) -> bool:
            question = {"key": "a", "picture": url, "away": NO_WORKER}
            outcome = await answered(service.url, text, **question)
            return outcome.status == 200 and outcome.is_right

        assert await is_right("before")
        service.cache.kill()
        service.send("worker0")  # what it had in memory is gone
        assert await is_right("meanwhile")
        service.cache.start()
        deadline = time.monotonic() + 120
        new = (drawing("square", "blue", n) for n in range(100))
        while not service.cache.find(cache_keys.EMBEDDINGS):
            assert time.monotonic() < deadline
            other = next(new)
            question = {"key": "a", "picture": other, "away": NO_WORKER}
            outcome = await answered(service.url, "new", **question)
            assert outcome.is_right


@pytest.mark.model
@pytest.mark.slow
async def test_no_answer_of_tiny_is_wrong_in_a_thousand(start: Start) -> None:
    """Scenario C of field report B: mixed questions about fifteen pictures, four
    users, and a cache server that is emptied at random."""
    shown = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    urls = {pair: drawing(*pair) for pair in shown}
    questions = {"What colour is the shape?": 1, "What shape is it?": 0}
    chance = random.Random(7)
    numbers = iter(range(N_QUESTIONS))
    wrong: list[tuple[str, str, str]] = []
    seen: Counter[str] = Counter()
    stop_at = time.monotonic() + LIMIT_S

    async def one_user(http: httpx.AsyncClient) -> None:
        for _ in numbers:
            assert time.monotonic() < stop_at, f"not all in time: {seen}"
            pair, text = chance.choice(shown), chance.choice([*questions])
            use = chance.choices(["default", "refresh", "no-store"], [8, 1, 1])[0]
            content = [
                {"type": "image_url", "image_url": {"url": urls[pair]}},
                {"type": "text", "text": text},
            ]
            body = {
                "messages": [{"role": "user", "content": content}],
                "max_tokens": chance.choice([12, 16, 20]),  # other questions
                "cache": use,
            }
            reply = await http.post(service.url + PATH, json=body)
            assert reply.status_code == 200, reply.text
            answer = reply.json()
            said = answer["choices"][0]["message"]["content"]
            if pair[questions[text]] not in said.lower():
                wrong.append((" ".join(pair), text, said))
            details = answer["usage"]["prompt_tokens_details"]
            seen["known"] += reply.headers["x-cache"] == "hit"
            seen["prefix"] += details["cached_tokens"] > 0
            seen["memory"] += details["memory_image_tokens"] > 0
            seen["stored"] += details["stored_image_tokens"] > 0

    options = {"answer_cache": "on", "with_model": True, "embeddings_mb": "1"}
    with start(n_slots=N_USERS, slots=str(N_USERS), **options) as service:
        async with (
            flushing(service, every_s=6.0),
            httpx.AsyncClient(timeout=60) as http,
        ):
            await asyncio.gather(*(one_user(http) for _ in range(N_USERS)))
    assert not wrong
    assert all(seen[level] for level in LEVELS), seen

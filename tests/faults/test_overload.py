"""Overload is refused, not failed: what is let in does not suffer from what is not."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.faults.asking import PATH, Outcome, address_of, ask, body, client_of
from tests.faults.conftest import Start

pytestmark = [
    pytest.mark.redis,
    pytest.mark.nginx,
    pytest.mark.faults,
    pytest.mark.slow,
]

SECONDS = 15
USERS = (4, 1, 2, 8, 16, 32, 64)


def photo() -> str:
    """800x600, as large as a camera's."""
    noise = np.random.default_rng(1).integers(0, 255, (75, 100, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


async def user(url: str, n: int, picture: str, until: float) -> list[Outcome]:
    """A closed loop that honours Retry-After, as OpenAI's client does."""
    outcomes = []
    await asyncio.sleep(0.02 * n)  # as people come, not in one moment
    async with client_of(f"user {n}") as client:
        while time.monotonic() < until:
            text = f"{n} {len(outcomes)}"
            one = await ask(url, text, 30, picture=picture, client=client)
            outcomes.append(one)
            if one.retry_after:
                left = until - time.monotonic()
                await asyncio.sleep(min(float(one.retry_after), max(left, 0)))
    return outcomes


def probe(url: str, ended: threading.Event) -> list[float]:
    """Seconds to each refusal, for a client with a short question. In a thread, because
    the users' own loop is busy with sending pictures."""
    address, times = urlsplit(url).netloc, []
    headers = {"content-type": "application/json", "authorization": "Bearer probe"}
    question = json.dumps(body("probe", 1))
    while not ended.wait(0.05):
        connection = http.client.HTTPConnection(
            address, timeout=60, source_address=(address_of("probe"), 0)
        )
        began = time.monotonic()
        connection.request("POST", PATH, question, headers)
        status = connection.getresponse().status
        if status in (429, 503):
            times.append(time.monotonic() - began)
        connection.close()
    return sorted(times)


async def stage(url: str, n_users: int, picture: str) -> list[Outcome]:
    until = time.monotonic() + SECONDS
    loops = (user(url, n, picture, until) for n in range(n_users))
    return [one for loop in await asyncio.gather(*loops) for one in loop]


async def test_throughput_holds_and_refusals_are_quick(start: Start) -> None:
    """P2: closed loops of 1 to 64 clients through nginx, a picture in each question."""
    picture = photo()
    rates: dict[int, float] = {}
    with start(
        n_slots=4, slots="4", with_nginx=True, worker=("--step-s", "0.05")
    ) as one:
        for n_users in USERS:
            began = time.monotonic()
            ended = threading.Event()
            probing = asyncio.create_task(asyncio.to_thread(probe, one.url, ended))
            outcomes = await stage(one.url, n_users, picture)
            ended.set()
            times = await probing
            seconds = time.monotonic() - began
            answered = [o for o in outcomes if o.status == 200]
            refused = [o for o in outcomes if o.status in (429, 503)]
            assert len(answered) + len(refused) == len(outcomes)
            assert all(o.is_right for o in answered)
            assert all(o.retry_after for o in outcomes if o.status != 200)
            rates[n_users] = len(answered) / seconds
            p99 = times[int(0.99 * len(times)) - 1] if times else 0.0
            print(
                f"{n_users} users: {rates[n_users]:.2f} answers/s, refused "
                f"{len(refused)}, {len(times)} probes too, P99 {1000 * p99:.0f} ms, "
                f"{dict(Counter(o.end for o in outcomes))}"
            )
            assert p99 < 0.2
    assert rates[64] >= 0.95 * rates[4]

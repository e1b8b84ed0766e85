"""Batches, asked for with OpenAI's client, over a restart of the web process."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.types import Batch

from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

COLOURS = ("red", "green", "blue")
SHAPES = ("circle", "square")


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    url = stack.url + "/v1"
    with OpenAI(base_url=url, api_key="none", max_retries=20) as client:  # 2 minutes
        yield client


def line(colour: str, shape: str, n: int) -> dict[str, Any]:
    picture = base64.b64encode(drawing(colour, n, shape=shape)).decode()
    url = {"url": f"data:image/jpeg;base64,{picture}"}
    content = [
        {"type": "image_url", "image_url": url},
        {"type": "text", "text": "What is in this picture?"},
    ]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 40}
    endpoint = {"method": "POST", "url": "/v1/chat/completions"}
    return {"custom_id": f"{colour} {shape} {n}"} | endpoint | {"body": body}


def killed_midway(client: OpenAI, stack: Stack, source: str) -> tuple[Batch, bool]:
    """A completed batch, and whether the web process was killed while it ran."""
    batch = client.batches.create(
        input_file_id=source,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"for": "a test"},
    )
    killed = False
    give_up = time.monotonic() + 200
    while time.monotonic() < give_up:
        batch = client.batches.retrieve(batch.id)
        assert batch.request_counts
        if batch.status == "completed":
            break
        if batch.request_counts.completed > 2 and not killed:
            killed = True
            stack.child("ui").kill()
        time.sleep(0.1)
    return batch, killed


def test_a_batch_survives_its_web_process(client: OpenAI, stack: Stack) -> None:
    killed, first = False, 0
    while not killed and first < 12:  # a late look finds all of them answered
        numbers = range(first, first + 4)
        lines = [line(c, s, n) for c in COLOURS for s in SHAPES for n in numbers]
        content = "\n".join(map(json.dumps, lines)).encode()
        source = client.files.create(file=("a.jsonl", content), purpose="batch")
        assert source.bytes == len(content)
        batch, killed = killed_midway(client, stack, source.id)
        first += 4
    assert killed
    assert batch.status == "completed"
    assert batch.request_counts.completed == len(lines)
    assert batch.output_file_id
    found = client.files.content(batch.output_file_id).text.splitlines()
    answers = {}
    for result in map(json.loads, found):
        [choice] = result["response"]["body"]["choices"]
        answers[result["custom_id"]] = choice["message"]["content"]
    assert answers.keys() == {one["custom_id"] for one in lines}
    for custom_id, answer in answers.items():
        colour, shape, _ = custom_id.split()
        assert f"{colour} {shape}" in answer
    assert batch.id in [one.id for one in client.batches.list()]
    client.files.delete(source.id)

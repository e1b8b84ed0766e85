"""litellm's proxy with the file of docs/clients.md, asked as each of its APIs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edge.up.parts import free_port
from tests.clients.client import environ_of
from tests.clients.conftest import FIRST_RUN_S, bring
from tests.clients.test_documented import SERVER, blocks, sections
from tests.conftest import wait_for
from tests.stack.conftest import Stack

pytestmark = [
    pytest.mark.clients,
    pytest.mark.stack,
    pytest.mark.nginx,
    pytest.mark.model,
    pytest.mark.timeout(FIRST_RUN_S),
]

KEY = "sk-of-this-test"
WHAT = "What is in this picture?"


@pytest.fixture(scope="module")
def proxy(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the running proxy."""
    program, folder = bring("frameworks"), tmp_path_factory.mktemp("proxy")
    [(_, config)] = [b for b in blocks(sections()["litellm"]) if b[0][:4] == "yaml"]
    (folder / "litellm.yaml").write_text(config.replace(SERVER, stack.url))
    port, log = free_port(), folder / "log"
    command = ["litellm", "--config", "litellm.yaml", "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program / "bin" / command[0], *command[1:], "--port", str(port)],
            env=environ_of(program, folder) | {"LITELLM_MASTER_KEY": KEY},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {KEY}"},
            timeout=60,
        ) as client:

            def is_ready() -> bool:
                assert process.poll() is None, log.read_text()[-4000:]
                try:
                    return client.get("/health/liveliness").is_success
                except httpx.TransportError:
                    return False

            wait_for(is_ready, 240)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def answer_of(proxy: httpx.Client, path: str, **body: Any) -> Any:
    reply = proxy.post(path, json={"model": "tiny"} | body)
    assert reply.is_success, reply.text
    return reply.json()


def test_each_api(proxy: httpx.Client, data_url: Any) -> None:
    url: str = data_url("red", size=(640, 480))
    text, image = {"type": "text", "text": WHAT}, {"url": url}
    parts = [{"type": "image_url", "image_url": image}, text]
    messages = [{"role": "user", "content": parts}]
    answer = answer_of(proxy, "/v1/chat/completions", messages=messages)
    assert "red circle" in answer["choices"][0]["message"]["content"]

    parts = [
        {"type": "input_image", "image_url": url},
        {"type": "input_text", "text": WHAT},
    ]
    asked = [{"role": "user", "content": parts}]
    answer = answer_of(proxy, "/v1/responses", input=asked)
    assert "red circle" in answer["output"][0]["content"][0]["text"]

    source = {"type": "base64", "media_type": "image/jpeg"}
    source |= {"data": url.partition(",")[2]}
    parts = [{"type": "image", "source": source}, text]
    messages = [{"role": "user", "content": parts}]
    answer = answer_of(proxy, "/v1/messages", messages=messages, max_tokens=100)
    assert "red circle" in answer["content"][0]["text"]
    assert proxy.get("/v1/models").json()["data"][0]["id"] == "tiny"

"""Open WebUI with its default settings: its page, and what it asks by itself."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from playwright.sync_api import Browser, expect

from edge.up.parts import free_port
from tests.clients.client import environ_of
from tests.clients.conftest import FIRST_RUN_S, bring
from tests.conftest import wait_for
from tests.stack.conftest import Stack
from ui.openai.body import ChatBody
from ui.openai.open_webui import is_unasked

pytestmark = [
    pytest.mark.clients,
    pytest.mark.stack,
    pytest.mark.nginx,
    pytest.mark.model,
    pytest.mark.browser,
    pytest.mark.timeout(FIRST_RUN_S),
]

# The bundled model answers it right, whatever the page writes before it.
QUESTION = "What shape is this, and which colour?"
UNASKED = {"TITLE", "TAGS", "FOLLOW_UP"}
START_S = 300


@pytest.fixture(scope="module")
def program() -> Path:
    return bring("open-webui")


@pytest.fixture(scope="module")
def prompts(program: Path) -> dict[str, str]:
    """The prompts for a chat that it has by default, by name: TITLE, TAGS, ..."""
    [config] = program.glob("lib/python*/site-packages/open_webui/config.py")
    texts = {}
    for node in ast.parse(config.read_text()).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))
            ) if found := re.fullmatch(r"DEFAULT_(\w+)_GENERATION_PROMPT_\w+", name):
                texts[found[1]] = text
    return texts


def about(prompt: str, chat: str) -> str:
    return re.sub(r"{{MESSAGES:.*?}}", f"USER: {chat}\nASSISTANT: Yes.", prompt)


@pytest.fixture(scope="module")
def page_url(
    program: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Open WebUI over the stack, for one person without a login."""
    folder, port = tmp_path_factory.mktemp("open-webui"), free_port()
    environ = environ_of(program, folder) | {
        "DATA_DIR": str(folder / "data"),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "of this test",
        "OFFLINE_MODE": "True",
        "ENABLE_OLLAMA_API": "False",
        "OPENAI_API_BASE_URL": f"{stack.url}/v1",
        "OPENAI_API_KEY": "unused",
    }
    serve = str(program / "bin/open-webui")
    command = [serve, "serve", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health").is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, START_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_its_page_shows_a_right_answer_and_a_title(
    page_url: str, browser: Browser, folder: Path
) -> None:
    with browser.new_page() as page:
        page.goto(page_url)
        page.get_by_text("Okay, Let's Go!").click(timeout=60_000)
        page.locator("input[type=file]").first.set_input_files(
            folder / "blue-square.png"
        )
        page.locator("#chat-input").click()
        page.keyboard.type(QUESTION)
        expect(page.locator("#chat-input")).to_have_text(QUESTION)
        page.keyboard.press("Enter")
        answer = page.locator(".chat-assistant").last
        expect(answer).to_contain_text("A blue square.", timeout=60_000)
        # `tiny` writes no title; the page shows the question then
        expect(page).to_have_title(re.compile(QUESTION[:20]))


def test_what_it_asks_unasked_is_recognised(prompts: dict[str, str]) -> None:
    assert set(prompts) > UNASKED
    for name, prompt in prompts.items():
        text = about(prompt, "Hello")
        body = ChatBody.model_validate(
            {"messages": [{"role": "user", "content": text}]}
        )
        assert is_unasked(body) is (name in UNASKED), name


def test_its_prompts_are_computed_once(stack: Stack, prompts: dict[str, str]) -> None:
    """And then only the chats that they are about."""
    with OpenAI(base_url=f"{stack.url}/v1", api_key="unused") as client:
        for chat in ("first", "second", "third"):
            for name in sorted(UNASKED):
                text = about(prompts[name], chat)
                usage = client.chat.completions.create(
                    model="tiny",
                    messages=[{"role": "user", "content": text}],
                    max_tokens=20,
                ).usage
                assert usage and usage.prompt_tokens_details
                n_new = usage.prompt_tokens - (
                    usage.prompt_tokens_details.cached_tokens or 0
                )
                assert chat == "first" or n_new < 64, (name, usage)

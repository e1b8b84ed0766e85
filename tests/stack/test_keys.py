"""Keys end to end: commands, running stack, login in a real browser."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import openai
import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import wait_for
from tests.stack.conftest import Stack, running
from tests.stack.visitor import ANSWER_MS, Visitor
from ui.page_files import address

ENDED = (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess)

pytestmark = [pytest.mark.stack, pytest.mark.redis, pytest.mark.nginx]


class Keyed:
    """A running stack with the key of alice, and one of an admin."""

    def __init__(self, command: str, stack: Stack, keys: dict[str, str]) -> None:
        self.stack = stack
        self.keys = keys
        self._command = command

    def edge(self, *words: str) -> str:
        return run(self._command, self.stack.data_dir, *words)


def run(command: str, data_dir: Path, *words: str) -> str:
    """The output of a command."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
    ran = subprocess.run(
        [command, *words],
        env=environ | {"EDGE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


@pytest.fixture(scope="module")
def keyed(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    made = {
        name: run(edge, folder / "data", "keys", "create", name, *options)
        for name, options in {
            "alice": ("--limits", "answer-tokens/day=1000, models=tiny"),
            "root": ("--admin",),
        }.items()
    }
    keys = {name: key.strip() for name, key in made.items()}
    with running(edge, folder) as stack:
        yield Keyed(edge, stack, keys)


def test_a_start_says_that_a_key_is_required(keyed: Keyed) -> None:
    assert "a key is required" in keyed.stack.said()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/models",
        "/v1/usage",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/assets/index.js",
        "/gradio_api/info",
        "/v1/status",
        f"/{address('main.js')}",
        "/openapi.json",
        "/docs",
        "/metrics/",
    ],
)
def test_without_a_key_only_login_and_health_answer(keyed: Keyed, path: str) -> None:
    with keyed.stack.client() as http:
        reply = http.get(path)
        assert reply.status_code in (401, 404)
        assert set(reply.json()) == {"error"}
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/ready").json() == {"status": "ready"}
        assert http.get("/login").status_code == 200


def test_the_official_client_works_with_a_key_and_usage_is_shown(
    keyed: Keyed,
) -> None:
    with openai.OpenAI(
        base_url=keyed.stack.url + "/v1",
        api_key=keyed.keys["alice"],
        max_retries=0,
        http_client=keyed.stack.sdk_client(),
    ) as client:
        completions, model = client.chat.completions, "tiny"
        reply = completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=20
        )
        n = reply.parse().usage.completion_tokens
        assert reply.headers["x-ratelimit-limit-tokens"] == "1000"
        with pytest.raises(openai.RateLimitError, match="all"):
            completions.create(
                model=model,
                messages=[{"role": "user", "content": "Hi"}],
                max_tokens=1001,
            )
    rows = csv.DictReader(
        keyed.edge(
            "keys", "usage", "--csv", "--port", str(keyed.stack.port)
        ).splitlines()
    )
    [row] = [row for row in rows if row["key"] == "alice"]
    assert (row["model"], row["answer_tokens"]) == ("tiny", str(n))


def test_no_key_is_stored_or_logged(keyed: Keyed) -> None:
    """Not in a file of the service, nor in the environment of a part."""
    for secret in (key[-43:].encode() for key in keyed.keys.values()):
        for path in keyed.stack.data_dir.rglob("*"):
            with suppress(FileNotFoundError):  # a part has removed it meanwhile
                assert not path.is_file() or secret not in path.read_bytes(), path
        for process in keyed.stack.children():
            with suppress(*ENDED):
                said = Path(f"/proc/{process.pid}/environ").read_bytes()
                assert secret not in said + " ".join(process.cmdline()).encode()


@pytest.mark.browser
def test_a_person_signs_in_asks_and_signs_out(keyed: Keyed, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(keyed.stack.url)
    expect(page).to_have_url(re.compile("/login$"))
    page.fill("input[name=name]", "alice")
    page.fill("input[name=key]", "wrong")
    page.click("button")
    expect(page.get_by_role("alert")).to_be_visible()
    page.fill("input[name=name]", "alice")
    page.fill("input[name=key]", keyed.keys["alice"])
    page.click("button")
    visitor = Visitor(page, keyed.stack.url)
    visitor.wait_ready()
    visitor.ask("Hello?")
    expect(visitor.answers).to_contain_text("shapes", timeout=ANSWER_MS)
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    session = cookies["edge_session"]
    assert session["httpOnly"] and session["sameSite"] == "Strict"
    link = page.get_by_role("link", name="You are signed in as alice")
    expect(link).to_have_attribute("href", "login")
    link.click()
    page.click("button")
    expect(page.locator("input[name=key]")).to_be_visible()
    page.goto(keyed.stack.url)
    expect(page).to_have_url(re.compile("/login$"))
    page.context.close()


def test_a_revoked_key_and_its_sessions_end_at_once(keyed: Keyed) -> None:
    headers = {"authorization": f"Bearer {keyed.keys['root']}"}

    def status() -> int:
        return keyed.stack.get("/v1/models", headers=headers).status_code

    assert status() == 200
    keyed.edge("keys", "revoke", "root")
    wait_for(lambda: status() == 401, 10)  # the file is read each second

"""Below a path of another server, behind its TLS: API, page, login, cookies."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import openai
import pytest
from playwright.sync_api import Browser, expect

from edge.up.parts import free_port, nginx_server
from tests.conftest import wait_for
from tests.deploy.conftest import certify, example
from tests.stack.conftest import Stack, drawing, running
from tests.stack.test_keys import run
from tests.stack.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.nginx]

HTML = {"accept": "text/html"}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Prefixed:
    """A stack with keys, and the nginx of the guide in front of it."""

    def __init__(self, stack: Stack, key: str, folder: Path) -> None:
        self.key = key
        self.folder = folder
        tls = certify(folder)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}/vision"
        context = ssl.create_default_context(cafile=str(tls[0]))
        self.http = httpx.Client(verify=context, timeout=30)
        server = example("location /vision/")
        for name, ours in {
            "443 ssl": f"127.0.0.1:{self.port} ssl",
            "chat.example.org;": "127.0.0.1;",
            "/etc/letsencrypt/live/chat.example.org/fullchain.pem": str(tls[0]),
            "/etc/letsencrypt/live/chat.example.org/privkey.pem": str(tls[1]),
            "127.0.0.1:8080": f"127.0.0.1:{stack.port}",
        }.items():
            assert name in server
            server = server.replace(name, ours)
        where = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        user = "user root;" if os.geteuid() == 0 else ""
        conf = folder / "outer.conf"
        conf.write_text(
            f"daemon off; {user} pid {folder}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log {folder}/access; {where}\n{server}}}"
        )
        command = [nginx_server(), "-e", "stderr", "-p", str(folder), "-c", str(conf)]
        self.process = subprocess.Popen(command)
        wait_for(self._answers)

    def _answers(self) -> bool:
        try:
            return self.http.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module", params=["nginx", "no nginx"])
def outer(
    request: pytest.FixtureRequest,
    edge: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prefixed]:
    folder = tmp_path_factory.mktemp("outer")
    key = run(edge, folder / "data", "keys", "create", "alice").strip()
    options = ["--no-nginx"] if request.param == "no nginx" else []
    with running(edge, folder, *options, trust="127.0.0.1/32") as stack:
        one = Prefixed(stack, key, folder)
        yield one
        one.stop()


def test_programs_use_the_prefix_as_their_base_address(outer: Prefixed) -> None:
    client = openai.OpenAI(
        base_url=f"{outer.url}/v1", api_key=outer.key, http_client=outer.http
    )
    [model] = client.models.list()
    picture = f"data:image/jpeg;base64,{b64encode(drawing('red')).decode()}"
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    answer = client.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": content}]
    )
    assert "red circle" in answer.choices[0].message.content


def test_a_redirect_stays_below_the_prefix(outer: Prefixed) -> None:
    for path in ("/", "/v1/models"):
        reply = outer.http.get(outer.url + path, headers=HTML, follow_redirects=True)
        assert str(reply.url) == f"{outer.url}/login"
    reply = outer.http.get(outer.url)
    assert reply.headers["location"] == f"{outer.url}/"


def test_clients_keep_their_own_address(outer: Prefixed) -> None:
    """A job that an address may have is counted for the client, not for the proxy: the
    cookie is marked for https because the proxy says so."""
    reply = outer.http.get(f"{outer.url}/login")
    [cookie] = reply.headers.get_list("set-cookie")
    assert "; Secure" in cookie


@pytest.mark.browser
def test_a_person_signs_in_and_asks_below_the_prefix(
    outer: Prefixed, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    lost: list[str] = []
    page.on("response", lambda r: lost.append(r.url) if r.status == 404 else None)
    page.goto(outer.url)
    expect(page).to_have_url(f"{outer.url}/login")
    page.fill("input[name=name]", "alice")
    page.fill("input[name=key]", outer.key)
    page.click("button")
    expect(page).to_have_url(f"{outer.url}/")
    picture = tmp_path / "disc.jpg"
    picture.write_bytes(drawing("red"))
    visitor = Visitor(page, outer.url)
    visitor.wait_ready()
    visitor.ask("What is in this picture?", picture)
    expect(page.locator("body")).to_contain_text("red circle", timeout=60_000)
    page.screenshot(path=os.environ.get("SHOTS", str(tmp_path)) + "/prefix.png")
    own = [cookie for cookie in context.cookies() if "edge_" in cookie["name"]]
    assert {cookie["path"] for cookie in own} == {"/vision"}
    assert all(cookie["secure"] for cookie in own)
    assert lost == []
    page.goto(f"{outer.url}/login")
    page.click("button")
    expect(page).to_have_url(f"{outer.url}/login")
    expect(page.locator("input[name=key]")).to_be_visible()
    context.close()


@pytest.mark.browser
def test_a_link_on_another_site_leads_to_the_page(
    outer: Prefixed, browser: Browser
) -> None:
    """The browser sends no cookie with it; the page that comes instead reloads."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{outer.url}/login")
    page.fill("input[name=name]", "alice")
    page.fill("input[name=key]", outer.key)
    page.click("button")
    expect(page).to_have_url(f"{outer.url}/")
    page.goto("data:text/html,<a href='" + outer.url + "/'>chat</a>")
    page.click("a")
    expect(page.get_by_role("textbox").first).to_be_visible(timeout=60_000)
    expect(page).to_have_url(f"{outer.url}/")
    context.close()


def test_a_renewed_certificate_is_taken_without_a_break(
    outer: Prefixed, tmp_path: Path
) -> None:
    where = ("127.0.0.1", outer.port)
    old = ssl.get_server_certificate(where)
    for new in certify(tmp_path):
        # nginx keeps what it has read if inode and modification second are the same
        new.replace(outer.folder / new.name)
    assert ssl.get_server_certificate(where) == old
    question = {"messages": [{"role": "user", "content": "Hello?"}], "stream": True}

    def is_renewed() -> bool:
        with suppress(OSError):  # it may reload at this moment
            return ssl.get_server_certificate(where) != old
        return False

    def is_answered() -> bool:
        with outer.http.stream(
            "POST",
            f"{outer.url}/v1/chat/completions",
            json=question,
            headers={"authorization": f"Bearer {outer.key}"},
        ) as answer:
            if answer.status_code in (502, 503):
                return False  # a worker that stands still is away for a moment
            outer.process.send_signal(signal.SIGHUP)  # as `systemctl reload nginx` does
            wait_for(is_renewed)
            assert "data: [DONE]" in [*answer.iter_lines()]
            return True

    wait_for(is_answered)

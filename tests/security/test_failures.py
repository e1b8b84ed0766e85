"""A failing request affects no other one (W10)."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.up.parts import NGINX_BUILD, free_port, nginx_server
from tests.conftest import wait_for
from tests.security.conftest import Answer, Site, Web, refused

pytestmark = pytest.mark.nginx

VICTIM, ATTACKER = "127.0.5.1", "127.0.5.2"


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[int], Site]]:
    """Starts an nginx before a port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(upstream: int) -> Site:
        folder, site = tmp_path_factory.mktemp("nginx"), Site(free_port())
        build = [sys.executable, str(NGINX_BUILD), "--run-dir", str(folder)]
        build += ["--listen", f"127.0.0.1:{site.port}", "--hosts", ""]
        build += ["--upstream", f"127.0.0.1:{upstream}"]
        build += ["--user", "root"] if os.geteuid() == 0 else []
        conf = folder / "nginx.conf"
        conf.write_bytes(subprocess.run(build, capture_output=True, check=True).stdout)
        command = [nginx_server(), "-e", "stderr", "-p", str(folder), "-c", str(conf)]
        running.append(subprocess.Popen(command))
        wait_for(lambda: answers(site, "/nginx-health"))
        return site

    yield start
    for process in running:
        process.terminate()
        process.wait(60)


def answers(site: Site, path: str) -> bool:
    try:
        return site.ask("GET", path).status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path]]:
    """`broken.py`, and what it logs."""
    site, log = Site(free_port()), tmp_path_factory.mktemp("broken") / "log"
    script = str(Path(__file__).with_name("broken.py"))
    with log.open("wb") as file:
        command = [sys.executable, script, str(site.port)]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    wait_for(lambda: answers(site, "/health"))
    yield site, log
    process.kill()
    process.wait(60)


def attacked(
    attack: Callable[[], object], ask: Callable[[], Answer], n: int = 100
) -> list[int]:
    """The statuses of a victim's requests during 20 attacks a second."""
    is_over, n_attacks = threading.Event(), 0

    def go_on() -> None:
        nonlocal n_attacks
        while not is_over.wait(0.05):
            attack()
            n_attacks += 1

    attacker = threading.Thread(target=go_on)
    attacker.start()
    try:
        statuses = []
        while len(statuses) < n or n_attacks < 20:
            assert attacker.is_alive()
            statuses.append(ask().status)
            time.sleep(0.01)
    finally:
        is_over.set()
        attacker.join()
    return statuses


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(("path", "body"), [(CHAT, b"bad"), ("/logout", b"")])
def test_an_exception_is_an_answer_and_closes_no_connection(
    front, broken, path: str, body: bytes
) -> None:
    site = front(broken[0].port)

    def attack() -> None:
        refused_or_plain(site.ask("POST", path, body, source=ATTACKER))

    statuses = attacked(attack, lambda: site.ask("POST", CHAT, b"good", source=VICTIM))
    # 429 is nginx's word for one address that asks so often
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) > 60


def refused_or_plain(answer: Answer) -> None:
    assert answer.status in (500, 429)


def test_an_early_exception_has_the_shape_of_the_api(broken) -> None:
    refused(broken[0].ask("POST", "/logout", b""), 500, "internal_error")


def test_a_late_exception_cuts_the_answer_off(broken) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        broken[0].ask("POST", CHAT, b"cut")
    assert broken[0].ask("GET", "/health").status == 200


def test_the_log_has_a_traceback_without_the_payload(broken) -> None:
    broken[0].ask("POST", CHAT, b"bad")
    log = broken[1].read_text()
    assert "RuntimeError" in log and "broken.py" in log
    assert "what-was-sent" not in log


BAD = [
    lambda site: site.tell(CHAT, b"\xff\xfe"),
    lambda site: site.tell(CHAT, {"messages": [{"role": "user", "content": 1}]}),
    lambda site: site.ask("GET", "/v1/usage?days=none"),
    lambda site: site.ask("GET", f"/page/{16 * '0'}/main.js", range="bytes=0-1-2"),
    lambda site: site.ask(
        "POST",
        "/logout",
        b"x",
        content_type=f"multipart/form-data; boundary={7000 * 'a'}",
    ),
]


def test_bad_requests_do_not_affect_other_connections(web: Web, front) -> None:
    """As on the real thing."""
    site = front(web.port)
    kinds = iter(BAD * 1000)

    def attack() -> None:
        assert 400 <= next(kinds)(site).status < 500

    statuses = attacked(
        attack, lambda: site.ask("POST", "/v1/chat/completions", b"{}", source=VICTIM)
    )
    assert set(statuses) <= {400, 415, 429}
    assert "Traceback" not in web.log.read_text()

"""What people and programs get from a server that `docker compose up` has started."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPConnection

import pytest

from tests.compose.stack import Stack, question
from tests.conftest import wait_for
from tests.stack.visitor import visiting


@pytest.mark.parametrize("colour", ["red", "blue", "green"])
def test_a_question_about_a_picture_is_answered(stack: Stack, data_url, colour) -> None:
    assert f"{colour} circle" in stack.ask(data_url(colour))


def test_an_answer_is_streamed(stack: Stack, data_url) -> None:
    chunks = stack.client().chat.completions.create(
        model="", messages=question(data_url("red", 7)), stream=True
    )
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    # of a fast model all text may come in one piece
    assert "red circle" in "".join(choice.delta.content or "" for choice in choices)
    assert choices[-1].finish_reason == "stop"


def test_the_page_answers_in_a_browser(stack: Stack, draw, browser, tmp_path) -> None:
    picture = tmp_path / "square.jpg"
    picture.write_bytes(draw("blue", shape="square"))
    with visiting(browser, stack.url) as visitor:
        visitor.ask("What shape is this, and which colour?", picture)
        visitor.expect_answer("A blue square.")


def test_only_the_one_port_is_published(stack: Stack) -> None:
    published = {
        (service, where["HostIp"], where["HostPort"])
        for service in ("broker", "cache", "worker", "ui", "nginx")
        for ports in stack.inspect(service)["NetworkSettings"]["Ports"].values()
        for where in ports or ()
    }
    assert published == {("nginx", "127.0.0.1", str(stack.port))}


def test_the_broker_has_a_password(stack: Stack) -> None:
    health = "valkey-cli --user health --pass none"
    assert "PONG" in stack.shell("broker", f"{health} ping")
    assert "NOPERM" in stack.shell("broker", f"{health} get x")
    assert "NOAUTH" in stack.shell("broker", "valkey-cli get x")


def test_a_key_closes_the_door(stack: Stack) -> None:
    """`docker compose run --rm keys`, while the server runs."""
    run = ("run", "--rm", "keys")
    said = stack.compose(*run, "create", "ann")
    [key] = [word for word in said.split() if word.startswith("edge_")]
    models = urllib.request.Request(f"{stack.url}/v1/models")
    try:
        wait_for(lambda: status(models) == 401, 20)
        models.add_header("Authorization", f"Bearer {key}")
        assert status(models) == 200
    finally:
        remove = ("run", "--rm", "--entrypoint", "rm", "keys")
        stack.compose(*remove, "/data/keys/keys.json")
        stack.compose("restart", "ui")
        models.remove_header("Authorization")
        wait_for(lambda: status(models) in (200, 401), 60)
        door = status(models)
        stack.compose(*remove, "/data/keys/keys.json.lock")
        stack.compose("restart", "ui")
    assert door == 401  # a lost file opens nothing
    stack.wait_ready()
    assert status(models) == 200


def test_models_are_listed_and_a_failed_download_is_a_sentence(stack: Stack) -> None:
    assert "tiny" in stack.compose("run", "--rm", "models", "list")
    with pytest.raises(AssertionError, match="nothing-like-it"):
        stack.compose("run", "--rm", "models", "pull", "nothing-like-it")


def test_the_benchmark_draws_its_curve_on_the_page(stack: Stack) -> None:
    said = stack.compose("run", "--rm", "bench", "--stages", "1,2", "--requests", "5")
    assert "2 users: 5 answered, 0 refused, 0 failed" in said
    with urllib.request.urlopen(f"{stack.url}/v1/status", timeout=10) as reply:
        levels = json.load(reply)["bench"]["levels"]
    assert [level["concurrency"] for level in levels] == [1, 2]
    assert all(level["answers_per_s"] > 0 for level in levels)


def test_a_certificate_makes_it_https(stack: Stack, tmp_path) -> None:
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", "privkey.pem", "-out", "fullchain.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    subprocess.run([*command, *names, *files], cwd=tmp_path, check=True)
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)
    build = [sys.executable, "nginx/build.py", "--certificate", "/certificates"]
    conf = subprocess.run(build, cwd=stack.folder, check=True, capture_output=True)
    (stack.folder / "tls.conf").write_bytes(conf.stdout)
    trusted = ssl.create_default_context(cafile=tmp_path / "fullchain.pem")
    url = stack.url.replace("http:", "https:")
    stack.configure(NGINX_CONF="./tls.conf", CERTIFICATES=tmp_path, SCHEME="https")
    try:
        stack.compose("up", "--detach", "--wait", "nginx")
        with urllib.request.urlopen(f"{url}/ready", context=trusted) as reply:
            assert reply.status == 200
        plain = HTTPConnection("127.0.0.1", stack.port, timeout=10)
        plain.request("GET", "/ready")
        assert plain.getresponse().status == 308
        plain.close()
        old = ssl.get_server_certificate(("127.0.0.1", stack.port))
        subprocess.run([*command, *names, *files], cwd=tmp_path, check=True)
        stack.compose("kill", "--signal", "HUP", "nginx")
        wait_for(
            lambda: ssl.get_server_certificate(("127.0.0.1", stack.port)) != old, 20
        )
    finally:
        stack.configure()
        stack.up("--no-build")


def test_prometheus_scrapes_all_parts(stack: Stack) -> None:
    """With `--profile monitoring`, at http://localhost:9090."""

    def health() -> dict[str, str]:
        address = "http://127.0.0.1:9090/api/v1/targets"
        with urllib.request.urlopen(address, timeout=10) as reply:
            targets = json.load(reply)["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    stack.compose("--profile", "monitoring", "up", "--detach", "--wait", "prometheus")
    try:
        wait_for(lambda: health() == {"edge-ui": "up", "edge-worker": "up"}, 90)
    finally:
        stack.compose("rm", "--stop", "--force", "--volumes", "prometheus")


def status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            json.load(reply)
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0

"""`edge up` and `edge ask` at a terminal: starts, stops, crashes, errors."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from llama_cpp import llama_cpp as lib

from edge.models.registry import tiny_files
from edge.up.parts import free_port
from tests.conftest import wait_for
from tests.stack.conftest import READY_S, Stack, running

pytestmark = [pytest.mark.stack, pytest.mark.model]


BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def post(stack: Stack, **body: Any) -> urllib.request.Request:
    return urllib.request.Request(
        f"{stack.url}/v1/chat/completions",
        data=json.dumps(BODY | body).encode(),
        headers={"content-type": "application/json"},
    )


def answers(stack: Stack) -> bool:
    try:
        with urllib.request.urlopen(post(stack), timeout=30) as reply:
            return "choices" in json.load(reply)
    except OSError:
        return False


def edge_(edge: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
    clean["EDGE_MODEL"] = "tiny"
    environ = clean | environ
    return subprocess.run(
        [edge, *words], env=environ, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_no_process(edge: str, tmp_path: Path, kind) -> None:
    with running(edge, tmp_path) as stack:
        wait_for(lambda: answers(stack))
        children = stack.children()
        assert len(children) >= 5
        assert stack.stop(kind) == 0
    _, alive = psutil.wait_procs(children, timeout=60)  # the last one may still end
    assert not alive
    said = stack.said()
    for part in ("broker", "cache", "worker", "ui", "nginx"):
        assert f"{part:7} ready" in said
        assert f"{part:7} stopped" in said
    assert "Serving tiny" in said


def test_children_die_with_their_parent(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path) as stack:
        children = stack.children()
        stack.process.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive


def test_without_nginx_the_same_port_answers(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path, "--no-nginx") as stack:
        wait_for(lambda: answers(stack))
        assert "nginx   ready" not in stack.said()


def test_without_a_network_tiny_is_served_with_a_banner(
    edge: str, tmp_path: Path
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    settings = {"model": "auto", "hub_url": nowhere, "mirror_url": ""}
    with running(edge, tmp_path, **settings) as stack:
        wait_for(lambda: answers(stack))
        said = stack.said()
        assert said.count("a small test model") == 1
        assert "edge models pull qwen3-vl-2b" in said


def test_a_dead_part_is_restarted_and_its_streams_end(
    edge: str, tmp_path: Path, babble: tuple[Path, Path]
) -> None:
    settings = {"context_tokens": "24000", "answer_tokens": "20000"}
    settings |= {"model": str(babble[0]), "mmproj": str(babble[1])}
    with running(edge, tmp_path, **settings) as stack:
        body = BODY | {"stream": True, "max_tokens": 20_000}
        path = "/v1/chat/completions"
        with stack.client() as http, http.stream("POST", path, json=body) as reply:
            lines = reply.iter_lines()
            assert any(re.search(r'"content": "[^"]', line) for line in lines)
            stack.child("-m", "worker").kill()
            rest = [*lines]
        assert any('"code": "worker_lost"' in line for line in rest)
        assert rest[-2:] == ["data: [DONE]", ""]
        wait_for(lambda: "worker  was killed by SIGKILL" in stack.said(), READY_S)
        wait_for(lambda: answers(stack), READY_S)


def test_a_killed_web_process_comes_back(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path) as stack:
        ui = stack.child("-m", "ui")
        stack.process.send_signal(signal.SIGSTOP)  # or another one may be there first
        try:
            ui.kill()
            wait_for(lambda: ui.status() == psutil.STATUS_ZOMBIE)
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(post(stack), timeout=60)
        finally:
            stack.process.send_signal(signal.SIGCONT)
        assert refusal.value.status == 502
        assert json.load(refusal.value)["error"]["code"] == "service_unavailable"
        wait_for(lambda: answers(stack), READY_S)


def test_a_busy_port_is_one_clear_sentence(edge: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = edge_(edge, "up", "--port", str(port), EDGE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_start_on_the_same_port_spoils_nothing(
    edge: str, tmp_path: Path
) -> None:
    """Also while the first one loads, when nothing listens yet."""
    first = Stack(edge, tmp_path)
    try:
        lock = first.data_dir / "state" / str(first.port) / "lock"
        wait_for(lock.exists, READY_S)
        data_dir = str(first.data_dir)
        done = edge_(edge, "up", "--port", str(first.port), EDGE_DATA_DIR=data_dir)
        assert done.returncode == 1
        assert f"`edge up` for port {first.port} runs" in done.stderr
        first.wait_ready()
        wait_for(lambda: answers(first))
    finally:
        first.stop()


TEXT = str(tiny_files().model)


@pytest.mark.parametrize(
    ("words", "environ", "sentence"),
    [
        (["--model", "qwen3-vl-2b"], {}, "edge models pull qwen3-vl-2b"),
        (["--model", "./no.gguf"], {}, "There is no file"),
        (["--model", TEXT, "--mmproj", "./no.gguf"], {}, "is not there"),
        (["--model", TEXT], {}, "--mmproj"),
        ([], {"EDGE_SLOTS": "9"}, "EDGE_SLOTS='9' must be from 1 to 4"),
        ([], {"EDGE_SLOT": "2"}, "EDGE_SLOT is not a setting"),
        ([], {"EDGE_BROKER_URL": "redis://127.0.0.1:1/0"}, "cannot be reached"),
    ],
)
def test_an_error_is_one_clear_sentence(
    edge: str, tmp_path: Path, words, environ, sentence
) -> None:
    done = edge_(edge, "up", *words, EDGE_DATA_DIR=str(tmp_path), **environ)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_model_ends_the_start_with_its_reason(
    edge: str, tmp_path: Path, tiny
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(tiny[0].read_bytes()[:10_000])
    words = ("--model", str(bad), "--mmproj", str(tiny[1]), "--no-nginx")
    done = edge_(edge, "up", *words, EDGE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "bad.gguf" in done.stderr
    assert "edge models pull" in done.stderr


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
def test_a_quantised_model_answers(edge, tmp_path, babble, draw, name) -> None:
    """Quantised weights use other kernels than F16, and some of those have crashed."""
    params = lib.llama_model_quantize_default_params()
    params.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{name}")
    quantised, picture = tmp_path / "small.gguf", tmp_path / "disc.jpg"
    paths = (str(path).encode() for path in (babble[0], quantised))
    assert lib.llama_model_quantize(*paths, ctypes.byref(params)) == 0
    picture.write_bytes(draw("red"))
    files = ("--model", str(quantised), "--mmproj", str(babble[1]))
    done = edge_(edge, "ask", str(picture), "What?", "--max-tokens", "4", *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("how", ["options", "settings"])
def test_any_pair_of_files_can_be_served(edge, tmp_path, tiny, how: str) -> None:
    for path, name in zip(tiny, ("a.gguf", "b.gguf"), strict=True):
        (tmp_path / name).symlink_to(path)  # relative to the working folder
    words = ("--model", "a.gguf", "--mmproj", "b.gguf") if how == "options" else ()
    named = {} if words else {"model": "./a.gguf", "mmproj": "b.gguf"}
    with running(edge, tmp_path, *words, **named) as stack:
        wait_for(lambda: answers(stack))
        assert "a small test model" not in stack.said()


def test_one_question_at_the_terminal(edge: str, tmp_path: Path, draw) -> None:
    picture = tmp_path / "disc.jpg"
    picture.write_bytes(draw("red"))
    words = ("ask", str(picture), "What shape is this, and which colour?")
    done = edge_(edge, *words, EDGE_DATA_DIR=str(tmp_path), EDGE_THREADS="1")
    assert done.returncode == 0
    assert done.stdout.strip() == "A red circle."
    assert "tokens, first after" in done.stderr
    again = edge_(edge, *words, EDGE_DATA_DIR=str(tmp_path), EDGE_THREADS="1")
    assert again.stdout == done.stdout


@pytest.mark.parametrize("content", [None, b"", b"not a picture"])
def test_a_bad_picture_at_the_terminal_is_one_sentence(edge, tmp_path, content) -> None:
    picture = tmp_path / "bad.jpg"
    if content is not None:
        picture.write_bytes(content)
    done = edge_(edge, "ask", str(picture), "?", EDGE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("edge: ")
    assert "Traceback" not in done.stderr

"""Each part is killed, doubled, replaced or stopped, and the next question answered."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.compose.stack import Stack, question
from tests.conftest import wait_for

SERVICES = ("broker", "cache", "worker", "ui", "nginx")
METRICS = (
    "import urllib.request as r;"
    "print(r.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_part_comes_back(stack: Stack, data_url, service: str) -> None:
    before = stack.inspect(service)["RestartCount"]
    with suppress(AssertionError):  # the command dies with its container
        stack.shell(service, "kill -9 -1")
    wait_for(lambda: stack.inspect(service)["RestartCount"] > before, 60)
    wait_for(lambda: is_healthy(stack, service), 120)
    stack.wait_ready()
    assert "green circle" in stack.ask(data_url("green", 20 + SERVICES.index(service)))


def test_two_workers_share_the_questions(stack: Stack, data_url) -> None:
    stack.up("--no-recreate", "--scale", "worker=2")
    try:
        workers = stack.containers("worker")
        assert len(workers) == 2
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(stack.ask, data_url("red", i, shape="square"))
                for i in range(40, 64)
            ]
            assert all("red square" in answer.result() for answer in asked)
        for worker in workers:
            text = stack.engine.run("exec", worker, "python", "-c", METRICS)
            [steps] = re.findall(r"^edge_engine_steps_total (\S+)$", text, re.M)
            assert float(steps) > 0
    finally:
        stack.up("--no-recreate", "--scale", "worker=1")
    assert "red circle" in stack.ask(data_url("red", 65))


def test_another_model_takes_over_without_a_gap(stack: Stack, data_url) -> None:
    """The commands of docs/docker.md, while people ask."""
    stack.compose("run", "--rm", "models", "make", "tiny-q8")
    old = stack.container("worker")
    beside = ("--no-build", "--no-recreate", "--scale", "worker=2")
    try:
        stack.configure(EDGE_MODEL="tiny-q8")
        with asking(stack, data_url("red", 2)) as replies:
            stack.compose("up", "--detach", "--wait", *beside)
            switch = ("python", "-m", "edge.cli.switch", "tiny-q8", "--drain")
            stack.compose("exec", "-T", "ui", *switch)
            stack.engine.run("stop", old)
            stack.engine.run("rm", old)
        assert {model for model, _ in replies} == {"tiny", "tiny-q8"}
        assert all("red circle" in answer for _, answer in replies), replies
        new = stack.container("worker")
        stack.up("--no-build")
        assert stack.container("worker") == new
    finally:
        stack.configure()
        stack.up("--no-build")


def test_an_upgrade_loses_no_question(stack: Stack, data_url, report) -> None:
    """New images, and the commands of docs/docker.md, while people ask."""
    before = {service: stack.container(service) for service in SERVICES}
    stack.compose("build", "--build-arg", "REVISION=next")
    started = time.monotonic()
    with asking(stack, data_url("blue", 1)) as replies:
        stack.compose("up", "--detach", "--wait", "--no-build", "ui", "nginx")
        stack.up("--no-build")
    seconds = time.monotonic() - started
    report(f"Upgraded in {seconds:.0f} s; {len(replies)} questions meanwhile.")
    assert replies
    assert all("blue circle" in answer for _, answer in replies), replies
    after = {service: stack.container(service) for service in SERVICES}
    changed = {service for service in SERVICES if before[service] != after[service]}
    assert {"worker", "ui"} <= changed
    assert not {"broker", "cache", "nginx"} & changed
    labels = stack.inspect("worker")["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == "next"


def test_a_restarted_engine_finds_the_queue(stack: Stack, data_url) -> None:
    """`restart: unless-stopped`, as after a reboot of the machine."""
    if not stack.engine.is_own:
        pytest.skip("The engine of this machine is not restarted.")
    with ThreadPoolExecutor(4) as pool:
        left = [
            pool.submit(leave, stack, data_url("green", i, shape="square"), f"left-{i}")
            for i in range(4)
        ]
        jobs = [one.result() for one in left]
    stack.engine.run("pause", stack.container("worker"))  # before it has answered all
    stack.engine.stop()
    stack.engine.start()
    stack.wait_ready()
    for job in jobs:
        wait_for(lambda job=job: state(stack, job)["status"] == "finished", 60)
        answer = state(stack, job)["answer"]["choices"][0]["message"]["content"]
        assert "green square" in answer
    assert "red circle" in stack.ask(data_url("red", 70))


def test_all_parts_stop_within_their_grace(stack: Stack, data_url) -> None:
    containers = {service: stack.container(service) for service in SERVICES}
    stack.compose("stop")
    for service, container in containers.items():
        [found] = json.loads(stack.engine.run("inspect", container))
        # 137 = killed at the end of its grace
        assert found["State"]["ExitCode"] in (0, 143), service
        assert not found["State"]["OOMKilled"]
    stack.up("--no-build")
    assert "blue circle" in stack.ask(data_url("blue", 71))


@contextmanager
def asking(stack: Stack, picture: str) -> Iterator[list[tuple[str, str]]]:
    """Three people ask about the picture while the block runs. Afterwards: the model
    and the answer of each of their questions."""
    replies: list[tuple[str, str]] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        client = stack.client(max_retries=30, timeout=120)
        while not is_over.is_set():
            reply = client.chat.completions.create(
                model="",
                messages=question(picture),
                extra_body={"cache": "no-store"},
                extra_headers={"Idempotency-Key": secrets.token_hex(8)},
            )
            replies.append((reply.model, str(reply.choices[0].message.content)))

    with ThreadPoolExecutor(3) as pool:
        people = [pool.submit(keep_asking) for _ in range(3)]
        try:
            yield replies
        finally:
            is_over.set()
    for one in people:
        one.result()


def is_healthy(stack: Stack, service: str) -> bool:
    return bool(stack.inspect(service)["State"]["Health"]["Status"] == "healthy")


def leave(stack: Stack, picture: str, idempotency_key: str) -> str:
    """Asks, and disconnects as soon as the question waits. Returns the job."""
    request = urllib.request.Request(
        f"{stack.url}/v1/chat/completions",
        data=json.dumps({"messages": question(picture), "stream": True}).encode(),
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
        },
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(reply.headers["x-job-id"])


def state(stack: Stack, job: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{stack.url}/v1/jobs/{job}", timeout=10) as reply:
        return dict(json.load(reply))

"""A part that hangs is restarted."""

from __future__ import annotations

import math
import signal
import time
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import wait_for
from tests.stack.conftest import Stack, rounds, running
from tests.stack.test_up import answers

pytestmark = [pytest.mark.stack, pytest.mark.model]

BACK_S = 60.0  # 13 to 15 s on an idle machine
PATIENCE_S = 120.0  # other tests may use the machine


@pytest.fixture(scope="module")
def watched(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: these tests stop its parts."""
    with running(edge, tmp_path_factory.mktemp("watched")) as one:
        yield one


def front(stack: Stack) -> list[psutil.Process]:
    """nginx's master and workers."""
    return [child for child in stack.children() if child.name().startswith("nginx")]


def is_up(stack: Stack) -> bool:
    try:
        with urllib.request.urlopen(f"{stack.url}/health", timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def hang(stack: Stack, processes: list[psutil.Process]) -> float:
    """Stops the processes; returns the seconds until the service answers again, or
    infinity if another part died too."""
    own = {child.pid for one in processes for child in one.children(recursive=True)}
    pids = {child.pid for child in stack.children()} - own  # its decoders end with it
    began = time.monotonic()
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    wait_for(lambda: not is_up(stack))
    wait_for(lambda: is_up(stack), PATIENCE_S)
    seconds = time.monotonic() - began
    others = pids - {process.pid for process in processes}
    died = not others <= {child.pid for child in stack.children()}
    wait_for(lambda: all(map(has_ended, processes)))
    wait_for(lambda: answers(stack), PATIENCE_S)
    return math.inf if died else seconds


def is_soon(seconds: float) -> bool:
    return seconds < (BACK_S if psutil.getloadavg()[0] <= 2 else math.inf)


def test_a_hung_web_process_is_restarted(watched: Stack) -> None:
    for waits_s in rounds(BACK_S):
        waits_s.append(hang(watched, [watched.child("-m", "ui")]))
        if is_soon(waits_s[-1]):
            break
    assert "ui      did not answer for" in watched.said()
    assert is_soon(min(waits_s))


@pytest.mark.nginx
def test_a_hung_nginx_is_restarted_with_its_workers(watched: Stack) -> None:
    for waits_s in rounds(BACK_S):
        found = front(watched)
        assert len(found) >= 2
        waits_s.append(hang(watched, found))
        if is_soon(waits_s[-1]):
            break
    assert "nginx   did not answer for" in watched.said()
    assert is_soon(min(waits_s))


def test_a_hung_redis_does_not_delay_other_watches(watched: Stack) -> None:
    """A dead web process restarts even while broker and cache hang."""
    servers = [
        c for c in watched.children() if "valkey" in c.name() or "redis" in c.name()
    ]
    assert len(servers) == 2
    for server in servers:
        server.send_signal(signal.SIGSTOP)
    try:
        killed = watched.child("-m", "ui")
        killed.kill()
        wait_for(lambda: not killed.is_running())
        wait_for(lambda: is_up(watched), PATIENCE_S)
    finally:
        for server in servers:
            if server.is_running():
                server.send_signal(signal.SIGCONT)
    wait_for(lambda: answers(watched), PATIENCE_S)

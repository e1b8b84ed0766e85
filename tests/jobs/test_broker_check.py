"""A broker that would lose questions is refused before anything is loaded."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from edge.errors import SetupError
from edge.jobs.broker_check import check_broker, check_cache
from edge.up.parts import free_port, redis_server
from tests.conftest import wait_for

pytestmark = pytest.mark.redis

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with these options; returns its URL without a password."""
    processes = []

    def start(*options: str, password: str = "") -> str:
        port = free_port()
        command = [redis_server(), "--port", str(port), "--save", "", *options]
        if password:
            command += ["--requirepass", password]
        processes.append(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        )
        client = redis.Redis(port=port, password=password or None)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_for(answers)
        client.close()
        return f"redis://127.0.0.1:{port}/0"

    yield start
    for process in processes:
        process.kill()
        process.wait()


DURABLE = ("--appendonly", "yes")
LIMITED = ("--maxmemory", "64mb", "--maxmemory-policy")


def test_a_good_broker_needs_no_words(serve: Serve) -> None:
    assert check_broker(serve(*DURABLE, *LIMITED, "noeviction")) == ""
    assert check_broker(serve(*DURABLE, "--maxmemory-policy", "allkeys-lru")) == ""


def test_a_broker_that_drops_keys_is_refused(serve: Serve) -> None:
    url = serve(*DURABLE, *LIMITED, "allkeys-lru")
    with pytest.raises(SetupError, match=r"\(maxmemory-policy allkeys-lru\).*noevict"):
        check_broker(url)
    check_cache(url)


def test_a_broker_that_forgets_is_noted(serve: Serve) -> None:
    assert "Set appendonly to yes." in check_broker(serve("--appendonly", "no"))


def test_a_replica_is_refused(serve: Serve) -> None:
    with pytest.raises(SetupError, match="is a replica"):
        check_broker(serve("--replicaof", "127.0.0.1", "1"))


def test_an_old_server_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"redis_version": "6.0.16", "role": "master", "aof_enabled": 1}
    monkeypatch.setattr(redis.Redis, "info", lambda _: old)
    with pytest.raises(SetupError, match=r"is Redis 6\.0\.16: Redis 7\.0 or newer"):
        check_broker(serve())


def test_a_server_that_does_not_describe_itself_is_trusted(serve: Serve) -> None:
    rights = "default on nopass ~* &* +@all -info"
    assert check_broker(serve("--user", *rights.split())) == ""


@pytest.mark.parametrize("given", ["", ":wrong@", "somebody:wrong@"])
def test_a_wrong_password_is_named_and_not_shown(serve: Serve, given: str) -> None:
    url = serve(password="right").replace("redis://", f"redis://{given}")
    for check, setting in ((check_broker, "BROKER"), (check_cache, "CACHE")):
        with pytest.raises(SetupError, match=f"password.*EDGE_{setting}_URL") as caught:
            check(url)
        assert "wrong@" not in str(caught.value)


def test_a_missing_server_is_one_sentence() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with pytest.raises(SetupError, match="cannot be reached") as caught:
        check_broker(url)
    assert "secret" not in caught.value.message

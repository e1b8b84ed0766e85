"""A picture is encoded once: known to every worker, and after a restart."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from edge.jobs import cache_keys
from edge.jobs.fleet import find
from edge.redis_clients import sync_client
from tests.conftest import running_redis, wait_for
from tests.stack.conftest import READY_S, Stack, own_port, running
from worker.embedding_store import PAUSE_S

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]
Url = Callable[..., str]
STORED_S = 30  # then it never is


class Asked:
    """A stack and the cache server that it was given."""

    def __init__(self, stack: Stack, cache_url: str, worker_port: int) -> None:
        self.stack = stack
        self.cache = sync_client(cache_url)
        self.worker_port = worker_port
        self.n_asked = 0

    def ask(self, picture: str, **more: Any) -> dict[str, Any]:
        """The answer to a new question about a picture."""
        self.n_asked += 1
        content = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": "What colour is the shape?"},
        ]
        # another length is another question to the answer cache
        n_tokens = 16 + self.n_asked
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "max_tokens": n_tokens}
        reply = self.stack.post("/v1/chat/completions", body | more)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def levels(self, picture: str, **more: Any) -> tuple[int, int, int]:
        """Image tokens of a new question, and those from memory and the server."""
        details = self.ask(picture, **more)["usage"]["prompt_tokens_details"]
        names = ("image_tokens", "memory_image_tokens", "stored_image_tokens")
        n_image, n_memory, n_stored = (details[name] for name in names)
        return n_image, n_memory, n_stored

    def wait_stored(self, n: int = 1) -> None:
        pattern = cache_keys.EMBEDDINGS("*")
        wait_for(lambda: len(list(self.cache.scan_iter(pattern))) == n, STORED_S)

    @property
    def log(self) -> Path:
        """What workers write."""
        [path] = (self.stack.data_dir / "state").rglob("worker.log")
        return path

    def try_with(
        self, scenario: Callable[[str], None], pictures: Iterable[str]
    ) -> None:
        """A scenario with the first picture; with the next one where it failed and the
        cache server once did not answer in time, after the seconds for which it is not
        asked again."""
        for picture in pictures:
            n_before = len(self.log.read_text())
            try:
                scenario(picture)
                return
            except AssertionError as error:
                if (
                    "no embeddings from the cache"
                    not in self.log.read_text()[n_before:]
                ):
                    raise
                failure = error
            time.sleep(PAUSE_S + 1)
            self.cache.flushall()
        raise failure

    def restart_worker(self) -> None:
        worker = self.stack.child("-m", "worker")
        broker = sync_client(worker.environ()["EDGE_BROKER_URL"])

        def is_another() -> bool:  # not the dead one, which still is in the fleet
            with suppress(ValueError, psutil.NoSuchProcess):  # none at this moment
                pid = self.stack.child("-m", "worker").pid
                return pid != worker.pid and is_loaded(broker, pid)
            return False

        worker.kill()
        wait_for(is_another, READY_S)
        broker.close()

    def lookups(self, result: str) -> float:
        text = self.stack.get(f"http://127.0.0.1:{self.worker_port}/metrics").text
        name = f'edge_engine_stored_pictures_total{{result="{result}"}} '
        return float(text.partition(name)[2].partition("\n")[0])


def is_loaded(broker: redis.Redis, pid: int) -> bool:
    """Whether the worker with this process id is in the fleet."""
    worker = find(broker, socket.gethostname(), pid)
    return worker is not None and worker.loading_s is None


@contextmanager
def asked_stack(edge: str, folder: Path, cache_url: str) -> Iterator[Asked]:
    port = own_port()
    settings = {"cache_url": cache_url, "metrics_port": str(port)}
    with running(edge, folder, **settings) as stack:
        yield Asked(stack, cache_url, port)


@pytest.fixture(scope="module")
def cache_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture(scope="module")
def asked(
    edge: str, cache_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    with asked_stack(edge, tmp_path_factory.mktemp("kept"), cache_url) as one:
        yield one


@pytest.fixture(autouse=True)
def empty(asked: Asked) -> None:
    asked.cache.flushall()


def test_a_picture_is_known_after_a_restart_of_the_worker(
    asked: Asked, data_url: Url
) -> None:
    def is_known(picture: str) -> None:
        n, *levels = asked.levels(picture)
        assert levels == [0, 0]
        assert asked.levels(picture) == (n, n, 0)
        asked.wait_stored()
        asked.restart_worker()
        answer = asked.ask(picture)
        assert "red" in answer["choices"][0]["message"]["content"].lower()
        assert answer["usage"]["prompt_tokens_details"]["stored_image_tokens"] == n
        assert asked.lookups("hit") == 1
        assert asked.levels(picture) == (n, n, 0)

    asked.try_with(is_known, [data_url("red", i) for i in range(3)])


def test_a_second_worker_need_not_encode_it(
    asked: Asked, data_url: Url, tmp_path: Path
) -> None:
    """Its first questions come while the first worker is paused."""

    def is_known(picture: str) -> None:
        n, *_ = asked.levels(picture)
        asked.wait_stored()
        first = asked.stack.child("-m", "worker")
        environ = first.environ() | {"EDGE_METRICS_PORT": "0"}
        with (
            asked.log.open("a") as log,
            subprocess.Popen(
                [sys.executable, "-m", "worker"],
                env=environ,
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            ) as second,
        ):
            try:
                broker = sync_client(environ["EDGE_BROKER_URL"])
                wait_for(lambda: is_loaded(broker, second.pid), READY_S)
                first.suspend()
                assert asked.levels(picture) == (n, 0, n)
            finally:
                first.resume()
                second.terminate()
                second.wait(60)

    asked.try_with(is_known, [data_url("blue", i) for i in range(3)])


def test_who_may_share_it_is_part_of_an_entry(asked: Asked, data_url: Url) -> None:
    def is_stored(picture: str) -> None:
        asked.levels(picture)
        asked.wait_stored()

    asked.try_with(is_stored, [data_url("green", i) for i in range(3)])
    [key] = asked.cache.scan_iter(cache_keys.EMBEDDINGS("*"))
    header = asked.cache.hget(key, "header")
    assert b'"scope": "' in header and b'"scope": ""' not in header


def test_damage_in_the_server_is_noticed_and_removed(
    asked: Asked, data_url: Url
) -> None:
    def is_noticed(picture: str) -> None:
        n, *_ = asked.levels(picture)
        asked.wait_stored()
        [key] = asked.cache.scan_iter(cache_keys.EMBEDDINGS("*"))
        asked.cache.hset(key, "0", os.urandom(64))
        asked.restart_worker()
        assert asked.levels(picture) == (n, 0, 0)
        assert asked.lookups("damaged") == 1
        asked.wait_stored()

    asked.try_with(is_noticed, [data_url("yellow", i) for i in range(3)])


def test_no_store_leaves_nothing_in_the_server(asked: Asked, data_url: Url) -> None:
    picture = data_url("purple", 5)
    for _ in range(2):
        assert asked.levels(picture, cache="no-store")[1:] == (0, 0)
    assert not asked.cache.keys("edge:answer:*") + asked.cache.keys("edge:emb*")

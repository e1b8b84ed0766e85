"""The whole service over a stub engine, each part a real process that can be killed.

Two Redis servers, workers, the web process and, where it matters, nginx, started and
watched with the very classes that `edge up` uses.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import redis

from edge.events import Token, from_json
from edge.jobs import keys
from edge.jobs.key_pattern import Key
from edge.redis_clients import UNREACHABLE, sync_client
from edge.settings import Settings
from edge.up.parts import LOOPBACK, free_port, nginx, redis_server
from edge.up.supervise import Child, Part
from tests.conftest import wait_for
from tests.faults.asking import Outcome, answered, until
from tests.rendered_page import give_page

STUB_WORKER = Path(__file__).with_name("stub_worker.py")
ROOT = Path(__file__).parents[2]

Ask = Callable[..., Coroutine[Any, Any, Outcome]]


class Server:
    """A Redis that can be stopped and started again on its port and its data."""

    def __init__(self, folder: Path, config: str = "appendonly yes\n") -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        # so that nobody is given the port as free while the server is away
        held = socket.socket()
        weakref.finalize(self, held.close)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, self.port))
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self._config = (
            f"bind {LOOPBACK}\nport {self.port}\nsave ''\n"
            f'dir "{folder}"\nenable-debug-command local\n{config}'
        )
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [redis_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self.process.stdin
        self.process.stdin.write(self._config.encode())
        self.process.stdin.close()
        self.client: redis.Redis = sync_client(self.url)
        # a server that stands still for seconds fails no test by itself
        self.client.connection_pool.connection_kwargs["socket_timeout"] = 60
        wait_for(self._answers)

    def find(self, row: Key) -> list[str]:
        """All keys of one row of the table."""
        found = self.client.keys(row(*("*" for _ in row.parameters)))
        return [key.decode() for key in found]

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait(60)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.AuthenticationError:  # a test has the password
            return True
        except UNREACHABLE:
            return False


class Service:
    """Running parts; workers and web process come back when they die."""

    def __init__(
        self,
        folder: Path,
        *,
        n_workers: int = 1,
        n_webs: int = 1,
        with_nginx: bool = False,
        broker: str = "appendonly yes\n",
        worker: tuple[str, ...] = (),
        broker_seen_at: str = "",
        with_model: bool = False,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.broker = Server(folder / "broker", broker)
        self.cache = Server(folder / "cache", "maxmemory 64mb\n")
        given = {"slots": "2", "answer_cache": "off", "model": "tiny"} | settings
        given |= {"broker_url": self.broker.url, "cache_url": self.cache.url}
        given |= {"data_dir": str(folder)}
        environ = {f"EDGE_{name.upper()}": value for name, value in given.items()}
        self.settings = Settings.read(environ)
        self.environ = self.settings.environ()
        give_page(folder)
        self.children: dict[str, Child] = {}
        self._left: list[Child] = []
        self._stopping = threading.Event()
        for n in range(n_workers):
            if with_model:
                self._add(f"worker{n}", [sys.executable, "-m", "worker"])
            else:
                self.add_worker(f"worker{n}", *worker)
        self.ports = [free_port() for _ in range(n_webs)]
        web = {"EDGE_BROKER_URL": broker_seen_at or self.broker.url}
        for n, port in enumerate(self.ports):
            command = [sys.executable, "-m", "ui", "--port", str(port)]
            more = {"GRADIO_ANALYTICS_ENABLED": "False"}
            if with_nginx:  # so that a test can go round it, it is on a port
                more["FORWARDED_ALLOW_IPS"] = LOOPBACK
            self._add(f"web{n}", command, web | more)
        self.url = f"http://{LOOPBACK}:{self.ports[0]}"
        if with_nginx:
            self._add_nginx()
        self._reviving = threading.Lock()
        self._watch = threading.Thread(target=self._revive, daemon=True)
        self._watch.start()

    def add_worker(self, name: str, *options: str) -> None:
        self._add(name, [sys.executable, str(STUB_WORKER), *options])

    def start_asking(
        self, *texts: str, by: Ask = answered, **options: Any
    ) -> list[asyncio.Task[Outcome]]:
        """One client for each text. Where the broker is to be away: by `ask`."""
        return [
            asyncio.create_task(by(self.url, text, key=f"k{n}", **options))
            for n, text in enumerate(texts)
        ]

    def n_live(self) -> int:
        """How many jobs are unfinished."""
        return sum(map(self.broker.client.zcard, self.broker.find(keys.LIVE)))

    async def until_running(self, n: int = 2) -> None:
        """Returns when `n` jobs run."""
        zcard, find = self.broker.client.zcard, self.broker.find
        await until(lambda: sum(map(zcard, find(keys.RUNNING))) == n)

    async def until_begun(self, *tasks: asyncio.Task[Outcome]) -> None:
        """Returns when as many jobs run, a little into their answers."""
        client = self.broker.client

        def n_begun() -> int:
            ids = [
                job_id.decode()
                for key in self.broker.find(keys.RUNNING)
                for job_id in client.zrange(key, 0, -1)
            ]
            streams = [client.keys(keys.EVENTS(job_id, "*")) for job_id in ids]
            return sum(any(map(self._has_text, names)) for names in streams)

        await until(lambda: n_begun() == len(tasks))

    def _has_text(self, stream: bytes) -> bool:
        lines = self.broker.client.xrange(stream)
        return any(isinstance(from_json(e[b"event"]), Token) for _, e in lines)

    def slowly(self) -> AbstractContextManager[None]:
        """Answers of many tokens outlast the block, however long it takes: meanwhile
        a step of a stub takes half a second more."""
        return self._sign("slowly")

    def looking(self) -> AbstractContextManager[None]:
        """Until the end of the block no stub has seen a whole picture."""
        return self._sign("looking")

    @contextmanager
    def _sign(self, name: str) -> Iterator[None]:
        sign = self.folder / name
        sign.touch()
        try:
            yield
        finally:
            sign.unlink()

    def pid(self, name: str) -> int:
        process = self.children[name].process
        assert process
        return process.pid

    def send(self, name: str, kind: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(name), kind)

    def leave_dead(self, name: str) -> Child:
        """It will not be started again when it has ended."""
        with self._reviving:  # or it may be at work on this one
            self._left.append(self.children.pop(name))
        return self._left[-1]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        self._stopping.set()
        self._watch.join()
        for child in (*self._left, *reversed(self.children.values())):
            child.stop(in_a_hurry=lambda: True)
        for server in (self.broker, self.cache):
            server.kill()

    def _add(
        self,
        name: str,
        command: list[str],
        environ: dict[str, str] | None = None,
    ) -> None:
        own = self.folder / f"{name}-files"
        own.mkdir(exist_ok=True)
        python_path = {"PYTHONPATH": str(ROOT)}
        part = Part(
            name=name,
            command=command,
            is_ready=lambda: True,
            env=self.environ | python_path | (environ or {}),
            folder=own,
        )
        self._start(name, part)

    def _add_nginx(self) -> None:
        """As `edge up` would start it, in front of the first web process."""
        port = free_port()
        os.chmod(self.folder, 0o711)
        upstream = f"{LOOPBACK}:{self.ports[0]}"
        part = nginx(LOOPBACK, port, upstream, self.settings, self.folder)
        self._start("nginx", part)
        self.direct_url, self.url = self.url, f"http://{LOOPBACK}:{port}"

    def _start(self, name: str, part: Part) -> None:
        child = Child(part, self.folder / f"{name}.log")
        child.start()
        self.children[name] = child  # not before: it might be revived while it starts

    def _revive(self) -> None:
        while not self._stopping.wait(0.1):
            with self._reviving:
                for child in list(self.children.values()):
                    child.pause_s = 0.5  # tests are impatient
                    child.revive()

"""Redis over TLS, as a user with a password: both clients and Celery's way."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from edge.jobs.queue import TASK, celery_settings
from edge.redis_clients import async_client, hears, sync_client
from tests.conftest import cannot
from tests.faults.service import Server

pytestmark = pytest.mark.redis

USER = "edge:p%40ss"


def certificate(folder: Path) -> None:
    """A certificate of its own authority for 127.0.0.1."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *paths], check=True, capture_output=True)


class Tunnel:
    """TLS on `port`, in front of a server without."""

    def __init__(self, behind: int, folder: Path) -> None:
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "certificate", folder / "key")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self._server = opened.result(10)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _open(self) -> asyncio.Server:
        return await asyncio.start_server(self._join, "127.0.0.1", 0, ssl=self._context)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._behind)
        with suppress(asyncio.CancelledError):  # at the end of the test
            await asyncio.gather(self._copy(reader, outer), self._copy(inner, writer))

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`rediss://` of a server that has one user."""
    folder = tmp_path_factory.mktemp("tls")
    try:
        certificate(folder)
    except OSError:
        cannot("openssl, which makes the certificate, is not here.")
    users = "user default on nopass -@all +ping\nuser edge on >p@ss ~* &* +@all\n"
    server = Server(folder / "data", users)
    tunnel = Tunnel(server.port, folder)
    where = f"127.0.0.1:{tunnel.port}/0?ssl_ca_certs={folder / 'certificate'}"
    yield f"rediss://{USER}@{where}"
    tunnel.close()
    server.kill()


def test_the_workers_client_speaks_tls(url: str) -> None:
    client = sync_client(url)
    assert client.set("a", "b")
    assert hears(client)
    client.close()


async def test_the_web_processs_client_speaks_tls(url: str) -> None:
    client = async_client(url)
    assert await client.set("a", "c")
    await client.aclose()


def test_celery_speaks_tls(url: str) -> None:
    app = Celery("test")
    app.conf.update(celery_settings(url))
    app.send_task(TASK, queue="a-queue")
    client = sync_client(url)
    assert client.llen("a-queue") == 1
    client.close()
    app.close()


def test_a_certificate_that_nobody_knows_is_refused(url: str) -> None:
    unknown = url.partition("?")[0]
    with pytest.raises(redis.ConnectionError, match="certificate"):
        sync_client(unknown).ping()
    app = Celery("test")
    app.conf.update(celery_settings(unknown))
    with pytest.raises(OperationalError, match="certificate"), app.connection() as one:
        one.default_channel.client.ping()
    app.close()

"""Redis over TLS, as a user with a password: both clients, and Celery."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
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
    """A self-signed certificate for 127.0.0.1."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *paths], check=True, capture_output=True)


# TLS in front of a server without it: BEHIND CERTIFICATE KEY; prints its port.
TUNNEL = """
import asyncio, ssl, sys
behind, certificate, key = sys.argv[1:]
async def copy(source, target):
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    target.close()
async def join(reader, writer):
    inner, outer = await asyncio.open_connection("127.0.0.1", int(behind))
    await asyncio.gather(copy(reader, outer), copy(inner, writer))
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`rediss://` URL of a server with one user."""
    folder = tmp_path_factory.mktemp("tls")
    try:
        certificate(folder)
    except OSError:
        cannot("openssl, which makes the certificate, is not here.")
    users = "user default on nopass -@all +ping\nuser edge on >p@ss ~* &* +@all\n"
    server = Server(folder / "data", users)
    paths = [str(folder / name) for name in ("certificate", "key")]
    with subprocess.Popen(
        [sys.executable, "-c", TUNNEL, str(server.port), *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as tunnel:
        assert tunnel.stdout
        port = int(tunnel.stdout.readline())
        yield f"rediss://{USER}@127.0.0.1:{port}/0?ssl_ca_certs={paths[0]}"
        tunnel.kill()
    server.kill()


def test_the_worker_client_speaks_tls(url: str) -> None:
    client = sync_client(url)
    assert client.set("a", "b")
    assert hears(client)
    client.close()


async def test_the_web_client_speaks_tls(url: str) -> None:
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


def test_an_unknown_certificate_is_refused(url: str) -> None:
    unknown = url.partition("?")[0]
    with (
        closing(sync_client(unknown)) as client,
        pytest.raises(redis.ConnectionError, match="certificate"),
    ):
        client.ping()
    app = Celery("test")
    app.conf.update(celery_settings(unknown))
    with pytest.raises(OperationalError, match="certificate"), app.connection() as one:
        one.default_channel.client.ping()
    app.close()

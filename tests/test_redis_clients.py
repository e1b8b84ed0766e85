"""Redis servers that cannot be used: wrong addresses, and silent ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from functools import partial

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from edge import redis_clients
from edge.errors import SetupError
from edge.jobs.queue import TASK, celery_settings, queue_of
from edge.redis_clients import async_client, sync_client


@pytest.mark.parametrize("client", [sync_client, async_client])
@pytest.mark.parametrize(
    "url", ["localhost:6379", "redis://:secret/x@h:1/0", "redis://:secret#x@h:1/0"]
)
def test_a_wrong_address_is_one_sentence_without_its_password(client, url: str) -> None:
    with pytest.raises(SetupError) as caught:
        client(url)
    assert "Write redis://HOST:PORT/0" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes everything and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        yield f"redis://{host}:{port}/0"


async def test_several_commands_together_have_a_time_limit(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_clients, "TIMEOUT_S", 0.2)
    client = async_client(silent)
    async with asyncio.timeout(60), client.pipeline() as together:
        together.time()
        with pytest.raises(TimeoutError):
            await together.execute()
    await client.aclose()


async def test_a_task_for_a_silent_broker_is_given_up(silent: str) -> None:
    """Otherwise threads would wait for it until TCP gives up, a quarter of an hour."""
    with Celery("edge") as app:
        app.conf.update(celery_settings(silent, socket_timeout_s=0.2))
        send = partial(app.send_task, TASK, queue=queue_of("pool"), retry=False)
        with pytest.raises(OperationalError):
            await asyncio.wait_for(asyncio.to_thread(send), 60)

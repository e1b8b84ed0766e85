"""`python -m ui` serves API and page until SIGTERM or SIGINT.

The first signal lets running answers end: new questions are refused, and an answer that
is not complete within the grace ends with an error. The second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from edge.errors import SetupError
from edge.exposure import check_exposure, metrics_readers, trusted
from edge.heap import keep_heap_small
from edge.logs import printable, set_up_logs
from edge.settings import Settings
from ui.app import build
from ui.client import Client
from ui.watchdog import watched

# Each system call of the event loop lets another thread have Python's lock, for this
# time at least: by default 5 ms. Sixty large bodies at once stopped it for 250 ms.
SWITCH_S = 0.0005
DATE_S = 1.0  # between two values of the header `Date`
LEAVE_S = 2  # for connections that do not end by themselves: each open page has one


class Server(uvicorn.Server):
    """Drains `client` before it closes its connections."""

    def __init__(self, config: uvicorn.Config, client: Client) -> None:
        super().__init__(config)
        self._client = client
        self._draining: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        with watched(self._loop):
            await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is not None:
            super().handle_exit(sig, frame)
            self._loop.call_soon_threadsafe(self._is_over.set)
            return
        self._loop.call_soon_threadsafe(self._drain)

    async def main_loop(self) -> None:
        """As uvicorn's own, which wakes ten times a second to look for its end."""
        while not await self.on_tick(0):  # 0: writes the Date of responses
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_S):
                    await self._is_over.wait()

    def _drain(self) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain_and_exit())

    async def _drain_and_exit(self) -> None:
        await self._client.drain()
        self.should_exit = True
        self._is_over.set()


def main(
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: int = 8000,
    uds: Annotated[
        Path | None, typer.Option(help="A Unix socket to listen on instead.")
    ] = None,
    forwarded_allow_ips: Annotated[
        str,
        typer.Option(
            envvar="FORWARDED_ALLOW_IPS",
            help="Proxies that are trusted, instead of EDGE_TRUST.",
        ),
    ] = "",
) -> None:
    keep_heap_small()
    sys.setswitchinterval(SWITCH_S)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection takes one
    set_up_logs()
    try:
        settings = Settings.load()
        is_behind = uds is not None or forwarded_allow_ips
        proxies = forwarded_allow_ips or ",".join(trusted(settings))
        metrics_readers(settings)  # here: the door is built at the first request
        check_exposure(settings if is_behind else replace(settings, host=host))
        client = Client(settings)
        app = build(client)
    except SetupError as error:
        sys.exit(printable(error.message))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        # only nginx can open the socket
        forwarded_allow_ips="*" if uds else proxies,
        ws="none",
        timeout_graceful_shutdown=LEAVE_S,
    )
    Server(config, client).run([listener(uds)] if uds else None)


def listener(path: Path) -> socket.socket:
    """A Unix socket at `path` for its owner and its group, instead of an older one."""
    path.unlink(missing_ok=True)
    one = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        one.bind(str(path))
    finally:
        os.umask(before)
    return one


if __name__ == "__main__":
    typer.run(main)

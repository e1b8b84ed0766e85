"""A bad network: a TCP proxy on loopback that delays, cuts and slices."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class BadNetwork:
    """Forwards connections from `self.port` to `port`, with faults."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        self.slice_bytes = 0  # 0 = as it comes

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()

    def reset(self) -> None:
        """Cuts every connection, in the middle of its data."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, there[1]}
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
        self._writers -= {writer, there[1]}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay_s)
                step = self.slice_bytes or len(data)
                for at in range(0, len(data), step):
                    writer.write(data[at : at + step])
                    await writer.drain()
                    if self.slice_bytes:
                        await asyncio.sleep(0)
        with suppress(OSError, RuntimeError):
            writer.close()

"""Finds the batches that no process works on, and works on them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from starlette.types import ASGIApp

from edge.caller import ANONYMOUS, Caller
from edge.errors import Forbidden
from edge.keys import Key, Keys
from ui.batch.folders import Folder, Folders
from ui.batch.internal_call import Result, post
from ui.batch.lines import Line
from ui.batch.work import OPEN, PREFIX, Work
from ui.error_shape import error_body

log = logging.getLogger(__name__)

LOOK_S = 2.0


class BatchRunner:
    """Works on the batches in `folders`, whose lines `routes` answer."""

    def __init__(self, folders: Folders, routes: ASGIApp, keys: Keys) -> None:
        self._folders = folders
        self._routes = routes
        self._keys = keys
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                with suppress(OSError):
                    await self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._running.values():
                task.cancel()

    async def look(self) -> None:
        """Begins with, or goes on with, each batch that no process works on."""
        for batch in await asyncio.to_thread(self._open):
            if batch.id not in self._running:
                self._running[batch.id] = asyncio.create_task(self._work(batch))

    def _open(self) -> list[Folder]:
        """Also deletes what is too old, of all kinds."""
        return [
            one
            for one in self._folders.all("")
            if one.id.startswith(PREFIX) and one.about["status"] in OPEN
        ]

    async def _work(self, batch: Folder) -> None:
        try:
            with suppress(BlockingIOError), locked(batch):
                await Work(batch, self._folders, self._ask).run()
        except* OSError as error:
            log.warning("a batch waits: %s", error.exceptions[0])
        finally:
            del self._running[batch.id]

    async def _ask(self, batch: Folder, line: Line) -> Result:
        caller = Caller(**batch.about["owner"])
        key: Key | None = None
        if caller.tenant != ANONYMOUS:
            key = self._keys.valid(caller.tenant)
            if key is None:
                refusal = Forbidden("The key of this batch was revoked.")
                return Result(refusal.status, error_body(refusal, line.url))
        return await post(self._routes, line.url, line.request_body(), caller, key)


@contextmanager
def locked(batch: Folder) -> Iterator[None]:
    """This process alone works on the batch. Raises BlockingIOError when another one
    does."""
    with (batch.path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield

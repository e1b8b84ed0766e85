"""Work that outlives the code that starts it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from edge.redis_clients import UNREACHABLE

log = logging.getLogger(__name__)


class Background:
    """Tasks of code that may itself be cancelled at its next await."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_log_if_unreachable(work))
        self._tasks.add(task)  # the loop itself would not keep it alive
        task.add_done_callback(self._tasks.discard)

    async def cancel(self) -> None:
        """Ends what is not done."""
        for task in self._tasks:
            task.cancel()
        await self.close()

    async def close(self) -> None:
        """Returns when all of it is done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _log_if_unreachable(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except UNREACHABLE as error:  # then the reconciler ends the unwatched job
        log.warning("a job could not be ended: %s", error)

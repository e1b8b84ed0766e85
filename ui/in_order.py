"""Several waits at the same time, whose results keep their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], n_together: int
) -> list[R]:
    """The result of `work` for each item, for at most `n_together` of them at the same
    time. The first error ends the others and is raised when they have ended."""
    free = asyncio.Semaphore(n_together)

    async def one(item: T) -> R:
        async with free:
            return await work(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

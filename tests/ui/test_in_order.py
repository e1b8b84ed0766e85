"""Several waits at the same time."""

from __future__ import annotations

import asyncio

import pytest

from ui.in_order import in_order


async def test_results_keep_their_order_and_few_wait_together() -> None:
    now, most = 0, 0

    async def work(i: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(10 - i):  # the later ones end first
            await asyncio.sleep(0)
        now -= 1
        return i

    assert await in_order(range(8), work, 2) == list(range(8))
    assert (now, most) == (0, 2)


async def test_the_first_error_ends_the_others() -> None:
    ended = []

    async def work(i: int) -> None:
        if i == 1:
            raise ValueError(i)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(i)

    with pytest.raises(ValueError, match="1"):
        await in_order(range(5), work, 2)
    assert set(ended) == {0, 2}  # the one after it had begun


async def test_leaving_ends_all() -> None:
    ended = []

    async def work(i: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(i)

    task = asyncio.create_task(in_order(range(5), work, 3))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [0, 1, 2]

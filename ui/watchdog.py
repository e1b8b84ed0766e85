"""Ends a web process whose event loop stands still, so that its supervisor starts
another one. In a container there is no other check."""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

STILL_S = 15.0  # far beyond any stall that a request can cause
TURN_S = 3.0


@contextmanager
def watched(
    loop: asyncio.AbstractEventLoop, still_s: float = STILL_S, turn_s: float = TURN_S
) -> Iterator[None]:
    """Ends this process, with a traceback of each thread, when `loop` does not turn for
    `still_s` while the block runs.

    The clock runs in native code, which needs no lock of Python's: a regular expression
    that never ends would hold up any thread.
    """

    is_over = False

    def turn() -> None:
        if not is_over:
            faulthandler.dump_traceback_later(still_s, exit=True)
            loop.call_later(turn_s, turn)

    turn()
    try:
        yield
    finally:
        is_over = True
        faulthandler.cancel_dump_traceback_later()

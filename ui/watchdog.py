"""The end of a web process whose event loop stands still: whoever started it starts
another. In a container nobody else looks."""

from __future__ import annotations

import asyncio
import faulthandler

STILL_S = 15.0  # far beyond any stall that a request can cause
TURN_S = 1.0


def keep_turning(
    loop: asyncio.AbstractEventLoop, still_s: float = STILL_S, turn_s: float = TURN_S
) -> None:
    """Ends this process, with where each of its threads stands, when `loop` has not
    turned for `still_s`.

    The clock runs in native code, which needs no lock of Python's: a regular expression
    that never ends would hold up any thread.
    """
    faulthandler.dump_traceback_later(still_s, exit=True)
    loop.call_later(turn_s, keep_turning, loop, still_s, turn_s)

"""An answer cache that a busy machine made the web process do without."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.stack.conftest import Stack
from ui.answer_cache import PAUSE_S


def attempts(stack: Stack) -> Iterator[int]:
    """0, and up to two more: each only where the log of the web process says that the
    cache hung, and after the seconds for which it is not asked again."""
    yield 0
    [log] = (stack.data_dir / "state").rglob("ui.log")
    for n in (1, 2):
        if "answer cache not reachable" not in log.read_text(errors="replace"):
            return
        time.sleep(PAUSE_S + 1)
        yield n

"""How far the compilation of llama.cpp is, in a file that `edge doctor` reads."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from bootstrap.commands import VENV

STATE = VENV / "llama-cpp.json"


class Progress(NamedTuple):
    """Files compiled, of all that this build compiles, and the seconds it took."""

    n_done: int
    n_files: int
    passed_s: float

    @property
    def percent(self) -> int:
        return 100 * self.n_done // self.n_files

    @property
    def minutes_left(self) -> int:
        """At the speed so far, rounded up."""
        left_s = self.passed_s * (self.n_files - self.n_done) / max(1, self.n_done)
        return int(left_s // 60) + 1


def write_state(key: str, **facts: Any) -> None:
    """Replaces the file: for the build `key`, `compiling` with a Progress and the
    process, `failed` with the reason, or `installed`."""
    unfinished = STATE.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps({"build": key, **facts}))
    unfinished.replace(STATE)


def read_state() -> dict[str, Any]:
    """Empty when nothing is known: a full disk may have truncated the file."""
    try:
        return dict(json.loads(STATE.read_text()))
    except (OSError, ValueError):
        return {}

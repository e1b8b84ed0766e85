"""Whether llama.cpp is installed, or how far the set-up has compiled it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from edge.serving.installed import has_llama

STATE: Final = Path(sys.prefix, "llama-cpp.json")  # written by bootstrap/progress.py
AGAIN: Final = "`make run` compiles it at low priority, `make setup` at full speed."


def described(state: Path = STATE) -> str:
    """Nothing when llama.cpp is installed, else one sentence for the operator."""
    if has_llama():
        return ""
    told = _read(state)
    if told.get("state") == "compiling" and _is_running(told.get("pid")):
        return f"llama.cpp is {_doing(told)}. Until it is installed, OpenVINO computes."
    if told.get("state") == "failed":
        return f"llama.cpp is not installed: {told.get('reason')} {AGAIN}"
    return f"llama.cpp is not installed, and so not used. {AGAIN}"


def _doing(told: dict[str, Any]) -> str:
    """The time left at the speed so far, in words."""
    try:
        n_done, n_files = int(told["n_done"]), int(told["n_files"])
        left_s = float(told["passed_s"]) * (n_files - n_done) / n_done
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return "downloading, before it is compiled"
    minutes = int(left_s // 60) + 1
    return f"compiling, about {minutes} minute{'s' if minutes > 1 else ''} left"


def _is_running(pid: object) -> bool:
    return isinstance(pid, int) and Path("/proc", str(pid)).exists()


def _read(state: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(state.read_text()))
    except (OSError, ValueError):
        return {}

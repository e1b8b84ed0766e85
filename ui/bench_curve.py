"""The newest curve of `edge bench` on this machine, for the page.

`edge bench` writes EDGE_DATA_DIR/bench/latest.json in the format of
benchmarks/record.py. The web process has no benchmark installed: it reads what it
needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

LARGEST_BYTES: Final = 32 << 20  # a run of an hour has a few
SCHEMA: Final = 1


def read_curve(path: Path) -> dict[str, Any] | None:
    """Answers a second by the number of users. None where there is no run, or one that
    cannot be read."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        run = json.loads(path.read_bytes())
        if run["schema"] != SCHEMA:
            return None
        answered = [one["users"] for one in run["samples"] if _is_answered(one)]
        levels = [
            {
                "concurrency": stage["users"],
                "answers_per_s": answered.count(stage["users"]) / _seconds(stage),
            }
            for stage in run["stages"]
        ]
        machine = run["fingerprint"].get("cpu", "")
        return {
            "began_at": run["began_at"],
            "machine": machine,
            "models": run["fingerprint"]["server"]["models"],
            "levels": levels,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_answered(sample: dict[str, Any]) -> bool:
    return bool(sample["outcome"] == "answered")


def _seconds(stage: dict[str, float]) -> float:
    return max(stage["ended_s"] - stage["began_s"], 0.001)

"""The audit log: a line of JSON for each question, with its tenant and its usage,
never its text."""

from __future__ import annotations

import json
import logging
import time

from edge.caller import Caller
from edge.usage import Usage

log = logging.getLogger("edge.audit")


def write_line(
    caller: Caller | None,
    model: str,
    outcome: str,
    code: str,
    usage: Usage | None = None,
    seconds: float = 0.0,
) -> None:
    """Logs the end of a question of `caller`, `seconds` after it came in."""
    line: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tenant": caller.tenant if caller else None,
        "address": caller.address if caller else None,
        "model": model[:80],
        "outcome": outcome,
        "code": code,
        "seconds": round(seconds, 3),
    }
    if usage is not None:
        line["prompt_tokens"] = usage.prompt_tokens
        line["answer_tokens"] = usage.completion_tokens
    log.info(json.dumps(line))

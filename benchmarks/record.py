"""What a benchmark run writes down, and how it is kept: one JSON file.

Everything a report says is computed from this file, so that an old run can be drawn
again, or beside a new one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge.errors import SetupError

SCHEMA = 1

# refused: 429 or 503, the server said no at once; failed: anything else that is no
# answer, time-outs too; aborted: the client hung up, as it meant to
Outcome = Literal["answered", "refused", "failed", "aborted"]


@dataclass(frozen=True)
class Sample:
    """One request as its client saw it. Times in seconds, None where there was none."""

    users: int  # of its stage
    began_s: float  # since the run began
    e2e_s: float
    outcome: Outcome
    kind: str = "picture"
    code: str = ""  # of what is no answer: an error's code, else the HTTP status
    ttft_s: float | None = None  # to the first text
    tpot_s: float | None = None  # mean, of the tokens after the first
    gap_s: float | None = None  # the longest between two pieces of text
    tokens: int = 0  # of the answer, as the server counts them, else pieces
    cached: bool = False


@dataclass(frozen=True)
class Stage:
    """A time with so many users, from its beginning until its last request ended."""

    users: int
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Watched:
    """The server's processes at one moment."""

    at_s: float  # since the run began
    cpu_percent: float  # 100 is one core kept busy
    resident_bytes: dict[str, int]  # by the name of the process
    queued: int | None = None  # questions waiting, if the server says so


@dataclass
class Run:
    """One benchmark run."""

    name: str
    url: str
    began_at: str  # ISO 8601, UTC
    scenario: str = "curve"
    fingerprint: dict[str, Any] = field(default_factory=dict)  # see fingerprint.py
    stages: list[Stage] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1))

    @classmethod
    def load(cls, path: Path) -> Run:
        """Raises SetupError when `path` is no run of this schema."""
        try:
            fields = json.loads(path.read_text())
            if fields.pop("schema") != SCHEMA:
                raise ValueError
            fields["stages"] = [Stage(**one) for one in fields["stages"]]
            fields["samples"] = [Sample(**one) for one in fields["samples"]]
            fields["watched"] = [Watched(**one) for one in fields["watched"]]
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SetupError(
                f"{path} is no benchmark result. `edge bench` writes them as run.json."
            ) from None

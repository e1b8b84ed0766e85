"""The record of a benchmark run, kept as one JSON file.

Reports are computed from this file alone, so an old run can be drawn again, or beside a
new one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge.errors import SetupError

SCHEMA = 1

# refused: 429 or 503, at once; failed: any other missing answer, timeouts included;
# aborted: the client hung up on purpose
Outcome = Literal["answered", "refused", "failed", "aborted"]


@dataclass(frozen=True)
class Sample:
    """One request, measured by its client. Times in seconds; None: not measured."""

    users: int  # of its stage
    began_s: float  # since the run began
    e2e_s: float
    outcome: Outcome
    kind: str = "picture"
    code: str = ""  # without an answer: the error code, else the HTTP status
    ttft_s: float | None = None  # until the first text
    tpot_s: float | None = None  # mean of the tokens after the first
    gap_s: float | None = None  # the longest pause between two pieces of text
    tokens: int = 0  # of the answer: counted by the server, else pieces
    cached: bool = False
    drafted_tokens: int = 0  # guessed by the server
    accepted_tokens: int = 0  # of them, the right ones
    saved_steps: int = 0  # steps of the language model less than tokens


@dataclass(frozen=True)
class Stage:
    """A period with a fixed number of users; ends with its last request."""

    users: int
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class ResourceSample:
    """Processor, memory and queue of the server at one moment."""

    at_s: float  # since the run began
    cpu_percent: float  # 100 is one busy core
    resident_bytes: dict[str, int]  # by process name
    queued: int | None = None  # waiting requests, if the server exports them


@dataclass
class Run:
    """One benchmark run."""

    name: str
    url: str
    began_at: str  # ISO 8601, UTC
    scenario: str = "curve"
    fingerprint: dict[str, Any] = field(default_factory=dict)  # see load/fingerprint.py
    stages: list[Stage] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    watched: list[ResourceSample] = field(default_factory=list)
    # What the server held during a soak, by name: [seconds since the run began, value]
    held: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1))

    @classmethod
    def load(cls, path: Path) -> Run:
        """Raises SetupError unless `path` is a run of this schema."""
        try:
            fields = json.loads(path.read_text())
            if fields.pop("schema") != SCHEMA:
                raise ValueError
            fields["stages"] = [Stage(**one) for one in fields["stages"]]
            fields["samples"] = [Sample(**one) for one in fields["samples"]]
            fields["watched"] = [ResourceSample(**one) for one in fields["watched"]]
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SetupError(
                f"{path} is not a benchmark result. Give a run.json of `edge bench`."
            ) from None

"""What was measured of each peer, as one JSON file for each.

Parts are measured one after another, perhaps in several runs: a new part replaces the
old one of its name and leaves the others.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import Sample
from edge.errors import SetupError

SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """One scenario, or a time at rest, which has no samples."""

    measured_at: str  # ISO 8601, UTC
    seconds: float
    peak_bytes: int  # of all processes; shared pages count once
    samples: list[Sample] = field(default_factory=list)
    cpu_percent: float | None = None  # at rest; 100 is one busy core


@dataclass
class Result:
    """One peer on one machine."""

    peer: str
    version: str
    fingerprint: dict[str, Any]  # of the machine, with the command line of the server
    parts: dict[str, Part] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = path_of(folder, self.peer)
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Result:
        """Raises SetupError unless `path` is a result of this schema."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields.pop("schema") != SCHEMA:
                raise ValueError
            for part in fields["parts"].values():
                part["samples"] = [Sample(**sample) for sample in part["samples"]]
            fields["parts"] = {k: Part(**part) for k, part in fields["parts"].items()}
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SetupError(
                f"{path} is not a result of `python -m benchmarks.peers`. Remove it "
                "and measure again."
            ) from None


def path_of(folder: Path, peer: str) -> Path:
    """The file of a peer: `OpenVINO GenAI` is in openvino-genai.json."""
    return folder / f"{re.sub('[^a-z0-9]+', '-', peer.lower()).strip('-')}.json"


def load_all(folder: Path) -> list[Result]:
    """All results in a folder, by name. Raises SetupError for another file."""
    results = [Result.load(path) for path in folder.glob("*.json")]
    return sorted(results, key=lambda result: result.peer.casefold())

"""What `edge monitor` has seen: its newest looks at a server, in one file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from benchmarks.record import Outcome, Run, Sample
from benchmarks.report.summary import percentile, three
from edge.errors import SetupError

KEPT = 1000
SCHEMA = 1


@dataclass(frozen=True)
class Look:
    """One standard question. Times in seconds; `code` says why there is no answer."""

    at: str  # ISO 8601, UTC
    e2e_s: float
    ttft_s: float | None
    outcome: Outcome
    code: str = ""


class History:
    """The newest looks, in a file that is replaced as a whole."""

    def __init__(self, path: Path, keep: int = KEPT) -> None:
        """Raises SetupError when `path` holds something else."""
        self._path = path
        self._keep = keep
        self.looks: list[Look] = []
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                if stored["schema"] != SCHEMA:
                    raise ValueError
                self.looks = [Look(**one) for one in stored["looks"]]
            except (OSError, ValueError, KeyError, TypeError):
                raise SetupError(
                    f"{path} is no history of edge monitor. Name another file with "
                    "--history, or remove this one."
                ) from None

    def add(self, one: Look) -> None:
        self.looks = [*self.looks, one][-self._keep :]
        stored = {"schema": SCHEMA, "looks": [asdict(one) for one in self.looks]}
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(stored))
        new.replace(self._path)

    def write_csv(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, [one.name for one in fields(Look)])
            rows.writeheader()
            rows.writerows(asdict(one) for one in self.looks)

    def as_run(self) -> Run:
        """The same as a benchmark run of one user, for charts."""
        times = [datetime.fromisoformat(one.at).timestamp() for one in self.looks]
        began = times[0] if times else 0.0
        samples = [
            Sample(1, at - began, one.e2e_s, one.outcome, code=one.code)
            for at, one in zip(times, self.looks, strict=True)
        ]
        began_at = self.looks[0].at if self.looks else ""
        return Run("monitor", url="", began_at=began_at, samples=samples)


@dataclass(frozen=True)
class Health:
    """The newest looks in one line. None where there is no answer."""

    n: int
    n_unanswered: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None

    @classmethod
    def of(cls, looks: Sequence[Look]) -> Health:
        answered = [one.e2e_s for one in looks if one.outcome == "answered"]
        found = [percentile(answered, p) for p in (50, 90, 99)]
        values = [one.value if one else None for one in found]
        return cls(len(looks), len(looks) - len(answered), *values)

    def line(self) -> str:
        def seconds(value: float | None) -> str:
            return "-" if value is None else f"{three(value)} s"

        return (
            f"P50 {seconds(self.p50_s)}  P90 {seconds(self.p90_s)}  "
            f"P99 {seconds(self.p99_s)}  of {self.n}, {self.n_unanswered} unanswered"
        )

"""The newest probes of `edge monitor`, kept in one JSON file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from benchmarks.record import Outcome, Run, Sample
from benchmarks.report.figures import three_digits
from benchmarks.report.summary import percentile
from edge.errors import SetupError

KEPT = 1000
SCHEMA = 1


@dataclass(frozen=True)
class Probe:
    """The result of one standard question. Times in seconds; `code` is the reason for
    a missing answer."""

    at: str  # ISO 8601, UTC
    e2e_s: float
    ttft_s: float | None
    outcome: Outcome
    code: str = ""


class History:
    """The newest probes, in a file that is replaced as a whole.

    The file calls them "looks", a name that stays for files of earlier versions."""

    def __init__(self, path: Path, keep: int = KEPT) -> None:
        """Raises SetupError when `path` is not a history."""
        self._path = path
        self._keep = keep
        self.probes: list[Probe] = []
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                if stored["schema"] != SCHEMA:
                    raise ValueError
                self.probes = [Probe(**one) for one in stored["looks"]]
            except (OSError, ValueError, KeyError, TypeError):
                raise SetupError(
                    f"{path} is not a history of edge monitor. Give another file with "
                    "--history, or remove this one."
                ) from None

    def add(self, probe: Probe) -> None:
        self.probes = [*self.probes, probe][-self._keep :]
        stored = {"schema": SCHEMA, "looks": [asdict(one) for one in self.probes]}
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(stored))
        new.replace(self._path)

    def write_csv(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, [one.name for one in fields(Probe)])
            rows.writeheader()
            rows.writerows(asdict(one) for one in self.probes)

    def as_run(self) -> Run:
        """The probes as a benchmark run of one user, for charts."""
        times = [datetime.fromisoformat(one.at).timestamp() for one in self.probes]
        samples = [
            Sample(1, at - times[0], one.e2e_s, one.outcome, code=one.code)
            for at, one in zip(times, self.probes, strict=True)
        ]
        began_at = self.probes[0].at if self.probes else ""
        return Run("monitor", url="", began_at=began_at, samples=samples)


@dataclass(frozen=True)
class Health:
    """A summary of the newest probes. Percentiles are None without an answer."""

    n: int
    n_unanswered: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None

    @classmethod
    def of(cls, probes: Sequence[Probe]) -> Health:
        answered = [one.e2e_s for one in probes if one.outcome == "answered"]

        def seconds(p: float) -> float | None:
            found = percentile(answered, p)
            return found.value if found else None

        return cls(
            n=len(probes),
            n_unanswered=len(probes) - len(answered),
            p50_s=seconds(50),
            p90_s=seconds(90),
            p99_s=seconds(99),
        )

    def line(self) -> str:
        def text(seconds: float | None) -> str:
            return "-" if seconds is None else f"{three_digits(seconds)} s"

        return (
            f"P50 {text(self.p50_s)}  P90 {text(self.p90_s)}  "
            f"P99 {text(self.p99_s)}  of {self.n}, {self.n_unanswered} unanswered"
        )

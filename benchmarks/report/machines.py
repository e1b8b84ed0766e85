"""The machines of several runs, as labels and texts of a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.record import Run
from benchmarks.report.figures import NOT_MEASURED, format_figure, gigabytes


@dataclass(frozen=True)
class Machine:
    run_names: str
    facts: Mapping[str, str]  # label -> text


def machines(runs: Iterable[Run]) -> Iterator[Machine]:
    """Each fingerprint once, with the names of its runs."""
    rest = list(runs)
    while rest:
        fingerprint = rest[0].fingerprint
        names = ", ".join(r.name for r in rest if r.fingerprint == fingerprint)
        yield Machine(names, _facts(fingerprint))
        rest = [r for r in rest if r.fingerprint != fingerprint]


def _facts(fingerprint: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Text by label; the label of a nested entry begins with those around it."""
    facts: dict[str, str] = {}
    for name, value in fingerprint.items():
        label = f"{prefix} {name}".strip().replace("_", " ").replace("cpu", "CPU")
        if isinstance(value, Mapping):
            facts |= _facts(value, label)
        elif label.endswith(" bytes"):
            size = f"{format_figure(gigabytes(value))} GB"
            facts[label.removesuffix(" bytes")] = size
        elif isinstance(value, list):
            facts[label] = ", ".join(map(str, value)) or NOT_MEASURED
        else:
            facts[label] = NOT_MEASURED if value is None else str(value)
    return facts

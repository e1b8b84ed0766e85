"""What was measured with two model files on this machine, and the file that keeps it.

A Plan chooses from it. It is valid for one processor, one pair of files and one version
of the libraries; when any of these has changed, it is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Final

from edge import host
from edge.models.registry import ModelFiles, models_folder
from edge.serving.choice import Measured
from edge.serving.installed import installed_version
from edge.serving.variants import Variant
from edge.settings import Settings

VERSION: Final = 2  # of the file
LIBRARIES: Final = ("llama-cpp-python", "openvino")
COMMAND: Final = "`edge doctor --tune`"
# Variables of the libraries that disable instructions, and so change what is fastest.
ISA_LIMITS: Final = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
RESTRICTING: Final = ("runtime", "weights", "vision", "kv", "threads", "repack")


@dataclass(frozen=True)
class Tuning:
    """All variants that were measured, in the order of preference; `is_brief` after
    the short measurement of a first start."""

    measured: tuple[Measured, ...]
    is_brief: bool
    date: str
    made_for: Mapping[str, Any]  # see `this_machine`
    restrictions: Mapping[str, Any] = field(default_factory=dict)  # see the function

    @property
    def has_results(self) -> bool:
        return any(each.ms for each in self.measured)

    @property
    def note(self) -> str:
        if not self.has_results:
            return f"The measurement of {self.date} failed: defaults are used."
        more = f" {COMMAND} measures more variants." if self.is_brief else ""
        return f"Measured on {self.date}.{more}"


def this_machine(settings: Settings, files: ModelFiles) -> dict[str, Any]:
    """Everything that a measurement depends on, as JSON."""
    cpu, environ = host.cpu(), settings.environ()
    return {
        "cpu": [cpu.name, *cpu.features],
        "cores": host.usable_cores(),
        "files": [
            [path.name, path.stat().st_size, path.stat().st_mtime_ns]
            for path in (files.model, files.mmproj)
        ],
        "libraries": [installed_version(name) for name in LIBRARIES],
        "limits": [environ.get(name, "") for name in ISA_LIMITS],
    }


def restrictions(settings: Settings) -> dict[str, Any]:
    """The settings that leave less to measure than there is, as JSON."""
    table = [one for one in fields(settings) if one.name in RESTRICTING]
    chosen = {one.name: getattr(settings, one.name) for one in table}
    return {
        one.name: chosen[one.name] for one in table if chosen[one.name] != one.default
    }


def save(tuning: Tuning, settings: Settings, files: ModelFiles) -> Path:
    """Writes it for the next start and returns its path. Raises OSError."""
    path = tuning_path(settings, files)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)  # it may be a link to anywhere
    with unfinished.open("x") as file:
        file.write(json.dumps({"version": VERSION} | asdict(tuning), indent=1) + "\n")
    unfinished.replace(path)
    return path


def load(settings: Settings, files: ModelFiles) -> tuple[Tuning | None, str]:
    """The tuning that is valid for these files here, if there is one, and a note that
    says which or why not. One without results, as of a machine that was too busy, is
    valid for a day: not every start waits for another try, but one does."""
    tuning = _read(tuning_path(settings, files))
    if tuning is None:
        return None, f"Not measured on this machine: {COMMAND} takes three minutes."
    if tuning.made_for != this_machine(settings, files):
        return None, (
            "Machine, model or libraries have changed since they were measured: run "
            f"{COMMAND} again."
        )
    if others := tuning.restrictions.items() - restrictions(settings).items():
        names = ", ".join(sorted(name for name, _ in others))
        return None, f"Measured with less to choose from ({names}): run {COMMAND}."
    if not tuning.has_results and tuning.date != date.today().isoformat():
        return None, tuning.note
    return tuning, tuning.note


def tuning_path(settings: Settings, files: ModelFiles) -> Path:
    return models_folder(settings) / "tuned" / f"{files.model.stem}.json"


def _read(path: Path) -> Tuning | None:
    """None where there is no such file, or it is damaged or of another version."""
    try:
        found = json.loads(path.read_text())
        if found.pop("version") != VERSION:
            return None
        measured = tuple(_measured(**each) for each in found.pop("measured"))
        return Tuning(measured=measured, **found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _measured(variant: dict[str, Any], ms: list[Any], problem: str) -> Measured:
    pairs = tuple((int(size), float(each)) for size, each in ms)
    if any(size < 1 or each <= 0 for size, each in pairs):
        raise ValueError(ms)
    return Measured(Variant.of(variant), pairs, str(problem))

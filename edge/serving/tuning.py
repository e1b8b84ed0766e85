"""What `edge doctor --tune` measured with two model files on this machine: the fastest
settings, and how long a picture takes.

A Plan uses it. It is valid for one processor, one pair of files and one version of the
libraries; when any of these has changed, it is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edge import host
from edge.images import DETAILS, budget
from edge.models.registry import ModelFiles
from edge.settings import Settings, in_words

TUNED: Final = ("vision", "runtime", "repack", "threads", "chunk_tokens", "kv")
LIBRARIES: Final = ("llama-cpp-python", "openvino")
TEMPLATE_TOKENS: Final = 32  # of a short question and the chat template
COMMAND: Final = "`edge doctor --tune`"


@dataclass(frozen=True)
class Tuning:
    """The fastest values of the settings in `TUNED`, and times measured with them."""

    values: Mapping[str, Any]
    embed_s: tuple[tuple[int, float], ...]  # of two pictures: tokens, seconds
    row_s: float  # prefill of one token
    token_s: float  # decode of one token of a single answer
    date: str
    made_for: Mapping[str, Any]  # see `this_machine`

    def first_text_s(self, n_tokens: int) -> float:
        """Seconds to the first token of an answer about a picture of `n_tokens` on an
        idle machine.

        The tower's projections take time in proportion to the picture, its attention
        in proportion to the square: two measured sizes give both parts.
        """
        (small, small_s), (large, large_s) = self.embed_s
        slope = 0.0
        if large > small:
            slope = (large_s / large - small_s / small) / (large - small)
        per_token_s = large_s / large + max(0.0, slope) * (n_tokens - large)
        return n_tokens * per_token_s + self.row_s * (n_tokens + TEMPLATE_TOKENS)

    def forecast(self, most: int) -> str:
        """What each `detail` of the API costs, with at most `most` image tokens."""
        budgets: dict[int, list[str]] = {}
        for detail in DETAILS:
            budgets.setdefault(budget(detail, most), []).append(detail)
        after = (
            f"{_seconds(self.first_text_s(n))} ({' and '.join(details)}, {n} tokens)"
            for n, details in budgets.items()
        )
        return (
            f"First words about a large picture after {' or '.join(after)}, "
            f"then {1 / self.token_s:.0f} tokens a second."
        )


@dataclass(frozen=True)
class Tuned:
    """Settings, the valid tuning whose values they have, and a note that says so."""

    settings: Settings
    tuning: Tuning | None = None
    note: str = ""


def this_machine(files: ModelFiles) -> dict[str, Any]:
    """Everything that a measurement depends on, as JSON."""
    cpu = host.cpu()
    return {
        "cpu": [cpu.name, *cpu.features],
        "cores": host.usable_cores(),
        "files": [
            [path.name, path.stat().st_size, path.stat().st_mtime_ns]
            for path in (files.model, files.mmproj)
        ],
        "libraries": [metadata.version(name) for name in LIBRARIES],
    }


def save(tuning: Tuning, settings: Settings, files: ModelFiles) -> Path:
    """Writes it for the next start and returns its path. Raises OSError."""
    path = _path(settings, files)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)  # it may be a link to anywhere
    with unfinished.open("x") as file:
        file.write(json.dumps(asdict(tuning), indent=1) + "\n")
    unfinished.replace(path)
    return path


def find(settings: Settings, files: ModelFiles) -> Tuning | None:
    """The saved tuning of these files, for whichever machine; None if there is none or
    it cannot be read."""
    try:
        found = json.loads(_path(settings, files).read_text())
        small, large = ((int(n), float(s)) for n, s in found.pop("embed_s"))
        tuning = Tuning(embed_s=(small, large), **found)
        replace(settings, **tuning.values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return tuning


def apply_tuning(settings: Settings, files: ModelFiles) -> Tuned:
    """`settings` with measured values instead of defaults. What the operator has set
    stays."""
    tuning = find(settings, files)
    if tuning is None:
        return Tuned(settings, note=f"Not tuned: {COMMAND} takes three minutes.")
    if tuning.made_for != this_machine(files):
        note = (
            f"Machine, model or libraries have changed since {COMMAND}: run it again."
        )
        return Tuned(settings, note=note)
    values = {k: v for k, v in tuning.values.items() if k not in settings.given}
    used = ", ".join(f"{name} {in_words(value)}" for name, value in values.items())
    note = f"Tuned on {tuning.date}: {used or 'all settings were given'}."
    return Tuned(replace(settings, **values), tuning, note)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0.1):.1f} s"


def _path(settings: Settings, files: ModelFiles) -> Path:
    return settings.data_dir / "models" / "tuned" / f"{files.model.stem}.json"

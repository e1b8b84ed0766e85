"""The catalogue of scenarios: Locust files, each with its defaults as plain data.

The defaults are read without importing the file, because that imports Locust, which
replaces the sockets of the whole process by those of gevent.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import SetupError

FOLDER = Path(__file__).parents[1] / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """A scenario and its defaults."""

    name: str
    about: str  # the first paragraph of its docstring
    stages: tuple[int, ...]  # users
    duration_s: float | None = None  # of each stage
    requests: int | None = None  # in each stage; one of the two is None
    # Of the server that is started for it: names and values of `Settings`.
    settings: Mapping[str, Any] = field(default_factory=dict)


def scenario_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def load_scenario(name: str) -> Scenario:
    """Raises SetupError for an unknown name."""
    if name not in scenario_names():
        raise SetupError(
            f"{name!r} is not a scenario. Choose one of: {', '.join(scenario_names())}."
        )
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    data = _plain_data(tree)
    about = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return Scenario(
        name,
        " ".join(about.split()),
        data["STAGES"],
        data.get("DURATION_S"),
        data.get("REQUESTS"),
        data.get("SETTINGS", {}),
    )


def _plain_data(tree: ast.Module) -> dict[str, Any]:
    """The constants of a scenario file, by name."""
    data = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("STAGES", "DURATION_S", "REQUESTS", "SETTINGS"):
                data[name] = ast.literal_eval(node.value)
    return data

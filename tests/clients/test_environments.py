"""The environments are pinned and name no registry: pip and npm are configured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.clients.environments import DEFINITIONS

LISTS = sorted(DEFINITIONS.glob("*/*.txt"))
PROJECTS = sorted(DEFINITIONS.glob("*/package*.json"))


@pytest.mark.parametrize("path", LISTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_packages_of_python_are_pinned(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.+!-]+", line), line


@pytest.mark.parametrize("path", PROJECTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_packages_of_node_are_pinned(path: Path) -> None:
    text = path.read_text()
    assert "resolved" not in text and "://registry" not in text
    for version in json.loads(text).get("dependencies", {}).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), version

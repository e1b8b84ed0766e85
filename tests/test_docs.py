"""What the documents name exists, and what exists is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.models.registry import DEFAULT, entries
from edge.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
README = (ROOT / "README.md").read_text()
DOCUMENTS = {"README.md": README, "docs/operations.md": OPERATIONS}


@pytest.mark.parametrize("field", Settings.table(), ids=lambda field: field.name)
def test_every_setting_is_documented_with_its_default(field) -> None:
    [row] = re.findall(
        rf"^\| `{PREFIX}{field.name.upper()}` \|([^|]*)\|", OPERATIONS, re.M
    )
    spoken = {"True": "on", "False": "off"}
    default = spoken.get(str(field.default), str(field.default))
    assert row.strip("` ").replace("~", str(Path.home())) == default


def test_every_documented_setting_exists() -> None:
    known = {PREFIX + field.name.upper() for field in Settings.table()}
    for text in (README, OPERATIONS, (ROOT / "docker-compose.yml").read_text()):
        named = set(re.findall(r"EDGE_[A-Z_]*[A-Z]", text))
        assert named <= known


def test_every_model_that_is_looked_for_is_named_in_the_readme() -> None:
    for file in entries()[DEFAULT].files:
        assert file.name in README


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_paths_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", DOCUMENTS[name]):
        assert (folder / target).exists(), target


def test_files_named_in_the_architecture_exist() -> None:
    for path in re.findall(
        r"`((?:edge|ui|worker|nginx|tests)/[\w/]+\.\w+)`", ARCHITECTURE
    ):
        assert (ROOT / path).exists(), path


def test_every_folder_is_a_room_in_the_architecture() -> None:
    rooms = [path.parent for path in ROOT.glob("edge/*/__init__.py")]
    for room in (*rooms, ROOT / "ui", ROOT / "worker", ROOT / "nginx"):
        assert f"| `{room.relative_to(ROOT)}` |" in ARCHITECTURE


def test_make_targets_in_the_readme_exist() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"^make (\w+)", README, re.M)) <= set(targets)


def test_the_lock_names_no_registry() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert not re.findall(r"^--|^-i", text, re.M)

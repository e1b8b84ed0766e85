"""Names, paths and links in the documents lead to something that exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models.registry import DEFAULT, entries, find_model
from edge.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted(ROOT.glob("*.md"))
    + sorted(ROOT.glob("docs/*.md"))
    + [ROOT / "training/README.md", *sorted(ROOT.glob("benchmarks/*/README.md"))]
}
README = DOCUMENTS["README.md"]
ARCHITECTURE = DOCUMENTS["docs/architecture.md"]
# A path of this repository, as documents write it: `edge/settings.py`, `tests/faults`.
PATH = re.compile(
    r"`((?:benchmarks|docs|edge|nginx|tests|training|ui|worker)(?:/[\w.-]+)+)`"
)
every_document = pytest.mark.parametrize("name", DOCUMENTS)


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, ROOT / "docs/generate.py", *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", ["docker.md", "operations.md"])
def test_a_model_is_downloaded_before_the_switch_to_it(page: str) -> None:
    """By the very command that `edge` names where the files are missing."""
    text = DOCUMENTS[f"docs/{page}"]
    before, name, _ = re.split(r"switch (qwen\S+)", text, maxsplit=1)
    with pytest.raises(SetupError) as missing:
        find_model(Settings(model=name, data_dir=Path("/nowhere")))
    [edge, docker] = re.findall(r"models pull [^`]+", missing.value.message)
    assert edge == docker and edge in before


def test_the_generated_tables_are_up_to_date() -> None:
    run = generate("--check")
    assert (run.returncode, run.stderr) == (0, "")


def test_a_stale_table_is_found_and_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    stale = "Before\n<!-- generated: routes -->\n| old |\n<!-- end -->\nafter\n"
    page.write_text(stale)
    run = generate("--check", page)
    assert (run.returncode, run.stderr) == (
        1,
        "page.md is stale: run `python docs/generate.py --write`.\n",
    )
    assert page.read_text() == stale
    assert generate("--write", page).returncode == 0
    assert "| POST | `/v1/chat/completions` | 32 MiB |" in page.read_text()
    assert "old" not in page.read_text()
    assert generate("--check", page).returncode == 0


@every_document
def test_named_settings_exist(name: str) -> None:
    known = {PREFIX + field.name.upper() for field in Settings.table()}
    assert set(re.findall(r"\bEDGE_[A-Z_]*[A-Z]", DOCUMENTS[name])) <= known


def test_settings_named_in_the_compose_file_exist() -> None:
    known = {PREFIX + field.name.upper() for field in Settings.table()}
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"EDGE_[A-Z_]*[A-Z]", text)) <= known


@every_document
def test_links_lead_to_files_and_headings(name: str) -> None:
    folder = (ROOT / name).parent
    for target, heading in re.findall(
        r"\]\((?!http)([^)#]*)#?([^)]*)\)", DOCUMENTS[name]
    ):
        path = folder / target if target else ROOT / name
        assert path.exists(), target
        if heading:
            assert heading in headings(path.read_text()), heading


@every_document
def test_named_paths_exist(name: str) -> None:
    missing = [p for p in PATH.findall(DOCUMENTS[name]) if not (ROOT / p).exists()]
    assert missing == []


def test_the_readme_names_the_files_of_the_default_model() -> None:
    for file in entries()[DEFAULT].files:
        assert file.name in README


def test_the_architecture_has_a_row_for_each_package() -> None:
    rooms = [path.parent for path in ROOT.glob("edge/*/__init__.py")]
    for room in (*rooms, ROOT / "ui", ROOT / "worker", ROOT / "nginx"):
        assert f"| `{room.relative_to(ROOT)}` |" in ARCHITECTURE


def test_all_scenarios_of_the_benchmark_are_documented() -> None:
    files = (ROOT / "benchmarks/scenarios").glob("[a-z]*.py")
    text = DOCUMENTS["docs/benchmarks.md"].partition("## Scenarios")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == {f.stem for f in files}


def test_make_targets_in_the_readme_exist() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"^make (\w+)", README, re.M)) <= set(targets)


def test_the_lock_names_no_registry() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert not re.findall(r"^--|^-i", text, re.M)


def headings(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-") for t in titles}

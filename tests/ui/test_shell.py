"""The page is rendered by a child process, once for each version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import SetupError
from ui import page_document
from ui.page_document import Shell, render_shell

RENDERED = {"document": "<html>", "theme_css": "a{}", "theme_hash": "1"}


class Child:
    """Stands for `subprocess.run`: it renders RENDERED, or what a test says."""

    def __init__(self) -> None:
        self.stdout = json.dumps(RENDERED).encode()
        self.n_runs = 0

    def __call__(self, *_: Any, **_options: Any) -> Child:
        self.n_runs += 1
        return self


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    one = Child()
    monkeypatch.setattr(page_document.subprocess, "run", one)
    return one


def test_a_second_start_renders_nothing(child: Child, tmp_path: Path) -> None:
    cache = tmp_path / "data" / "page.json"
    assert render_shell(cache) == render_shell(cache) == Shell(**RENDERED)
    assert child.n_runs == 1
    assert [path.name for path in cache.parent.iterdir()] == ["page.json"]


def test_another_version_of_the_page_is_rendered_again(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "page.json"
    render_shell(cache)
    monkeypatch.setattr(page_document, "VERSION", "another")
    render_shell(cache)
    assert child.n_runs == 2


@pytest.mark.parametrize("damage", ["", "[]", "null", '{"key": 1}', '{"document": 2}'])
def test_a_damaged_file_is_rendered_again(
    child: Child, tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "page.json"
    cache.write_text(damage)
    assert render_shell(cache) == Shell(**RENDERED)
    assert child.n_runs == 1


def test_a_folder_that_cannot_be_written_does_no_harm(
    child: Child, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert render_shell(tmp_path / "file" / "page.json") == Shell(**RENDERED)


@pytest.mark.parametrize("output", [b"", b"Traceback", b"{}"])
def test_a_failed_child_is_said(child: Child, tmp_path: Path, output: bytes) -> None:
    child.stdout = output
    with pytest.raises(SetupError, match=r"python -m ui\.shell"):
        render_shell(tmp_path / "page.json")

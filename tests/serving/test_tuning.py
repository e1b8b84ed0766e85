"""A measurement is used only on the machine and with the files that it was made for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from edge import host
from edge.models.registry import ModelFiles, tiny_files
from edge.serving import installed, tuning
from edge.serving.tuning import load, save
from edge.settings import Settings
from tests.serving.tuned import keep_tuning, language, vision


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def files() -> ModelFiles:
    return tiny_files()


def test_a_saved_tuning_is_found(settings, files) -> None:
    failed = vision(None, [1, 1], problem="crashed with SIGSEGV")
    for results in ((), (language(None, [1, 2, 3, 4, 5]), failed)):
        kept = keep_tuning(settings, files, *results)
        assert load(settings, files) == (kept, kept.note)
    path = save(kept, settings, files)
    assert [file.name for file in path.parent.iterdir()] == ["tiny.json"]


def test_the_note_says_when_and_how_to_measure_more(settings, files) -> None:
    assert load(settings, files) == (
        None,
        "Not measured on this machine: `edge doctor --tune` takes three minutes.",
    )
    assert keep_tuning(settings, files).note == "Measured on 2026-11-26."
    brief = keep_tuning(settings, files, is_brief=True)
    assert brief.note.endswith("`edge doctor --tune` measures more variants.")
    failed = language(None, [1] * 5, problem="crashed with SIGSEGV")
    assert "defaults" in keep_tuning(settings, files, failed).note


def test_a_measurement_that_failed_is_repeated_on_another_day(settings, files) -> None:
    today = date.today().isoformat()
    failed = language(None, [], problem="took too long")
    kept = keep_tuning(settings, files, failed, date=today, is_brief=True)
    assert load(settings, files) == (kept, kept.note)
    keep_tuning(settings, files, failed, date="2026-11-26", is_brief=True)
    found, note = load(settings, files)
    assert found is None
    assert note == "The measurement of 2026-11-26 failed: defaults are used."


def another_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "cpu", lambda: host.Cpu("another", ("avx2",)))


def fewer_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "usable_cores", lambda: 999)


def newer_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed.metadata, "version", lambda _name: "99.0")


def a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed.metadata, "version", version)


def fewer_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")


@pytest.mark.parametrize(
    "change",
    [another_cpu, fewer_cores, newer_libraries, a_missing_library, fewer_instructions],
)
def test_a_tuning_of_another_machine_is_ignored(
    settings, files, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    keep_tuning(settings, files)
    change(monkeypatch)
    found, note = load(settings, files)
    assert found is None
    assert note.endswith(
        "have changed since they were measured: run `edge doctor --tune` again."
    )


def test_other_files_of_the_same_name_are_not_tuned(settings, tmp_path: Path) -> None:
    pair = [tmp_path / name for name in ("tiny.gguf", "mmproj-tiny.gguf")]
    for path in pair:
        path.write_bytes(b"another")
    keep_tuning(settings, tiny_files())
    assert load(settings, ModelFiles("tiny", *pair))[0] is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "",
        lambda kept: "{",
        lambda kept: "[]",
        lambda kept: "null",
        lambda kept: json.dumps(kept | {"version": 1}),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "version"}),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "date"}),
        lambda kept: json.dumps(kept | {"more": 1}),
        lambda kept: json.dumps(kept | {"measured": [{"ms": []}]}),
        lambda kept: json.dumps(kept | {"measured": [changed(kept, ms=[[1, 0]])]}),
        lambda kept: json.dumps(kept | {"measured": [changed(kept, ms=[[1]])]}),
        lambda kept: json.dumps(kept | {"measured": [changed(kept, variant={})]}),
    ],
)
def test_a_damaged_or_old_tuning_is_ignored(settings, files, damage) -> None:
    path = save(keep_tuning(settings, files), settings, files)
    path.write_text(damage(json.loads(path.read_text())))
    assert load(settings, files)[0] is None


def changed(kept: dict, **values: object) -> dict:
    return kept["measured"][0] | values


def test_the_file_of_the_first_format_is_ignored(settings, files) -> None:
    tuned = tuning.tuning_path(settings, files)
    tuned.parent.mkdir(parents=True)
    old = {"values": {"runtime": "llama"}, "embed_s": [[1, 1.0], [2, 2.0]]}
    tuned.write_text(json.dumps(old | {"row_s": 1.0, "token_s": 1.0}))
    assert load(settings, files)[0] is None


def test_what_was_measured_with_fewer_choices_is_not_for_all_starts(
    settings, files
) -> None:
    """One start with EDGE_THREADS=1 must not decide all later ones."""
    few = replace(settings, threads=1)
    keep_tuning(few, files, language(None, [1, 2, 3, 4, 5]))
    assert load(few, files)[0]
    found, note = load(settings, files)
    assert found is None and "(threads)" in note
    keep_tuning(settings, files, language(None, [1, 2, 3, 4, 5]))
    assert load(few, files)[0]  # all was measured: it is chosen from that

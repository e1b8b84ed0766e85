"""A tuning is used only on the machine and with the files that it was made for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge import host
from edge.models.registry import ModelFiles, tiny_files
from edge.serving import tuning
from edge.serving.tuning import (
    TUNED,
    Tuned,
    Tuning,
    apply_tuning,
    find,
    save,
    this_machine,
)
from edge.settings import Settings

VALUES = {
    "vision": "f32",
    "runtime": "llama",
    "repack": True,
    "threads": 3,
    "chunk_tokens": 512,
    "kv": "q8_0",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def files() -> ModelFiles:
    return tiny_files()


@pytest.fixture
def measured(files: ModelFiles) -> Tuning:
    """A tower of 4 ms a token and 2 us for each two that look at each other."""
    return Tuning(
        values=VALUES,
        embed_s=tuple((n, 0.004 * n + 2e-6 * n * n) for n in (250, 1000)),
        row_s=0.01,
        token_s=0.05,
        date="2026-11-26",
        made_for=this_machine(files),
    )


def test_saved_tuning_is_found(settings, files, measured) -> None:
    assert find(settings, files) is None
    path = save(measured, settings, files)
    assert find(settings, files) == measured
    assert [file.name for file in path.parent.iterdir()] == ["tiny.json"]


def test_tuned_values_replace_defaults(settings, files, measured) -> None:
    save(measured, settings, files)
    assert apply_tuning(settings, files) == Tuned(
        replace(settings, **VALUES),
        measured,
        "Tuned on 2026-11-26: vision f32, runtime llama, repack on, threads 3, "
        "chunk_tokens 512, kv q8_0.",
    )


def test_settings_of_the_operator_stay(settings, files, measured) -> None:
    save(measured, settings, files)
    written = Settings.read(
        {
            "EDGE_DATA_DIR": str(settings.data_dir),
            "EDGE_REPACK": "off",  # the default, but said
            "EDGE_KV": "f16",
        }
    )
    tuned = apply_tuning(written, files)
    got = tuned.settings
    assert (got.repack, got.kv) == (False, "f16")
    assert (got.vision, got.threads, got.chunk_tokens) == ("f32", 3, 512)
    assert "repack" not in tuned.note


@pytest.mark.parametrize("is_tuned", [False, True])
def test_a_child_process_gets_the_tuning_of_its_parent(
    settings, files, measured, is_tuned: bool
) -> None:
    save(measured, settings, files)
    wanted = replace(settings, kv="q8_0")
    parent = apply_tuning(wanted, files).settings if is_tuned else wanted
    child = apply_tuning(Settings.read(ours(parent)), files)
    assert child.settings == apply_tuning(wanted, files).settings


def ours(settings: Settings) -> dict[str, str]:
    return {k: v for k, v in settings.environ().items() if k.startswith("EDGE_")}


def test_without_a_tuning_the_note_says_how_to_tune(settings, files) -> None:
    assert apply_tuning(settings, files) == Tuned(
        settings, None, "Not tuned: `edge doctor --tune` takes three minutes."
    )


def another_cpu(monkeypatch: pytest.MonkeyPatch, _: Tuning) -> None:
    monkeypatch.setattr(host, "cpu", lambda: host.Cpu("another", ("avx2",)))


def fewer_cores(monkeypatch: pytest.MonkeyPatch, _: Tuning) -> None:
    monkeypatch.setattr(host, "usable_cores", lambda: 999)


def newer_libraries(monkeypatch: pytest.MonkeyPatch, _: Tuning) -> None:
    monkeypatch.setattr(tuning.metadata, "version", lambda _name: "99.0")


@pytest.mark.parametrize("change", [another_cpu, fewer_cores, newer_libraries])
def test_a_tuning_of_another_machine_is_ignored(
    settings, files, measured, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    save(measured, settings, files)
    change(monkeypatch, measured)
    tuned = apply_tuning(settings, files)
    assert (tuned.settings, tuned.tuning) == (settings, None)
    assert tuned.note.endswith("have changed since `edge doctor --tune`: run it again.")


def test_other_files_of_the_same_name_are_not_tuned(
    settings, measured, tmp_path: Path
) -> None:
    pair = [tmp_path / name for name in ("tiny.gguf", "mmproj-tiny.gguf")]
    for path in pair:
        path.write_bytes(b"another")
    files = ModelFiles("tiny", *pair)
    save(measured, settings, files)
    tuned = apply_tuning(settings, files)
    assert (tuned.settings, tuned.tuning) == (settings, None)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "",
        lambda kept: "{",
        lambda kept: "[]",
        lambda kept: "null",
        lambda kept: json.dumps(kept | {"embed_s": [[256, 1.0]]}),
        lambda kept: json.dumps(kept | {"values": {"nonsense": 1}}),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "row_s"}),
        lambda kept: json.dumps(kept | {"more": 1}),
    ],
)
def test_a_damaged_tuning_is_ignored(settings, files, measured, damage) -> None:
    path = save(measured, settings, files)
    path.write_text(damage(json.loads(path.read_text())))
    assert find(settings, files) is None


def test_everything_tuned_is_a_setting() -> None:
    assert set(TUNED) == set(VALUES) <= {field.name for field in Settings.table()}


@pytest.mark.parametrize("n_tokens", [64, 250, 475, 1000, 4096])
def test_two_pictures_predict_the_time_of_any(measured: Tuning, n_tokens: int) -> None:
    embed_s = 0.004 * n_tokens + 2e-6 * n_tokens**2
    prefill_s = 0.01 * (n_tokens + 32)
    assert measured.first_text_s(n_tokens) == pytest.approx(embed_s + prefill_s)


def test_a_model_with_one_size_of_pictures_has_a_forecast_too(measured) -> None:
    small = replace(measured, embed_s=((64, 0.64), (64, 0.64)))
    assert small.first_text_s(64) == pytest.approx(0.64 + 0.96)


def test_noise_never_makes_a_larger_picture_faster(measured: Tuning) -> None:
    odd = replace(measured, embed_s=((250, 2.0), (1000, 4.0)))
    assert odd.first_text_s(4000) > odd.first_text_s(1000) > odd.first_text_s(250) > 0


def test_a_forecast_names_each_detail(measured: Tuning) -> None:
    assert measured.forecast(2048) == (
        "First words about a large picture after 4.0 s (low, 256 tokens) or 17 s "
        "(auto, 1024 tokens) or 37 s (high, 2048 tokens), then 20 tokens a second."
    )
    assert "after 4.0 s (low, 256 tokens) or 17 s (auto and" in measured.forecast(1024)
    assert "after 1.2 s (low and auto and high, 64 tokens)," in measured.forecast(64)

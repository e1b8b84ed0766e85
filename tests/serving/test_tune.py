"""Variants are measured in child processes; one that fails there is never chosen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from edge import host
from edge.cli.app import app
from edge.errors import SetupError
from edge.models.registry import tiny_files
from edge.openvino.kernels import Kernels, likely_kernels
from edge.serving import tune
from edge.serving.choice import Measured
from edge.serving.plan import make_plan
from edge.serving.report import table
from edge.serving.trial import (
    CONTEXT,
    ENOUGH_S,
    MOST_RUNS,
    fastest_ms,
    measure_steps,
    measure_tower,
)
from edge.serving.tune import PICTURES, ROWS, Short, measure_variants, run_trial
from edge.serving.tuning import load, save
from edge.serving.variants import Variant, language_variants, vision_variants
from edge.settings import Settings
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower

LLAMA = Variant("language", None, 1, "f16")
AMX = ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
VNNI = ("avx2", "avx512_vnni")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


# --- the order ----------------------------------------------------------------------


def test_features_decide_what_is_tried_first() -> None:
    first = {
        features: next(likely_kernels(features)) for features in (AMX, VNNI, ("avx2",))
    }
    assert first == {
        AMX: Kernels("bf16", 128),
        VNNI: Kernels("f32", 128),
        ("avx2",): Kernels("f32", 0),
    }
    assert {*likely_kernels(AMX)} == {*likely_kernels(("avx2",))}


def test_with_amx_a_pair_of_graphs_is_tried_first(settings: Settings) -> None:
    """A first start has time for few: kernels for a few rows, and others for many."""
    few, many, *_ = (each.kernels for each in language_variants(settings, AMX))
    assert (few, many) == (Kernels("f32", 128), Kernels("bf16", 0))


def test_all_variants_are_tried_once_on_every_machine(settings: Settings) -> None:
    for variants in (language_variants, vision_variants):
        amx, avx2 = (list(variants(settings, each)) for each in (AMX, ("avx2",)))
        assert len({*amx}) == len(amx)
        assert {*amx} == {*avx2}
    by_runtime = [each.runtime for each in language_variants(settings, ("avx2",))]
    assert by_runtime[:3] == ["llama", "llama", "openvino"]


@pytest.mark.parametrize(
    ("said", "is_tried"),
    [
        ({"EDGE_RUNTIME": "openvino"}, lambda v: v.kernels),
        ({"EDGE_RUNTIME": "llama"}, lambda v: not v.kernels),
        ({"EDGE_RUNTIME": "llama", "EDGE_REPACK": "on"}, lambda v: v.repack),
        ({"EDGE_KV": "f16"}, lambda v: v.kv == "f16"),
        ({"EDGE_THREADS": "3"}, lambda v: v.threads == 3),
    ],
)
def test_given_settings_are_not_tried(said: dict[str, str], is_tried) -> None:
    variants = list(language_variants(Settings.read(said), AMX))
    assert variants
    assert all(map(is_tried, variants))


@pytest.mark.parametrize("vision", ["int8", "f16", "f32", "mtmd"])
def test_a_given_vision_encoder_is_not_compared_with_others(vision: str) -> None:
    variants = list(vision_variants(Settings(vision=vision), AMX))
    assert {each.vision for each in variants} == {vision}
    assert (len(variants) > 1) == (vision == "int8")  # one way each of the others


# --- a trial ------------------------------------------------------------------------


def test_steps_are_measured_behind_a_context() -> None:
    runtime = StubRuntime(step_s=0.01, n_cells=1024)
    found: dict[int, float] = {}
    began = time.monotonic()
    measure_steps(runtime, [1, 4, 16], found.__setitem__)
    most_ms = 1000 * (time.monotonic() - began)
    # of the 10 ms of sleep, less than half counts as the own work of this thread
    assert all(5 <= ms <= most_ms for ms in found.values())
    assert [*found] == [1, 4, 16]
    assert {slot: len(cells) for slot, cells in runtime.cells.items()} == dict.fromkeys(
        range(4), CONTEXT
    )


@pytest.mark.parametrize("n_tokens", [1, 16, 64, 256, 475, 1024])
def test_a_picture_has_about_as_many_tokens_as_are_asked_for(n_tokens: int) -> None:
    found: dict[int, float] = {}
    measure_tower(StubTower(seconds=0.001), [n_tokens], found.__setitem__)
    [(n, ms)] = found.items()
    assert 0.9 * n_tokens <= n <= n_tokens
    assert ms >= 1


def test_the_fastest_of_some_runs_counts_and_slow_ones_run_once() -> None:
    seconds = iter([0.01, 0.003, 0.002, *[0.004] * MOST_RUNS])
    assert fastest_ms(lambda: next(seconds)) == 2
    slow = iter([2 * ENOUGH_S])
    assert fastest_ms(lambda: next(slow)) == pytest.approx(2000 * ENOUGH_S)


# --- the child ----------------------------------------------------------------------


@pytest.fixture
def short(tmp_path: Path) -> Short:
    files = tmp_path / "short.gguf", tmp_path / "mmproj.gguf"
    return Short(tmp_path, files, lambda part, n: 7 if part == "language" else n / 100)


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(tune, "TRIAL", (sys.executable, "-c", script))


def test_times_become_those_of_the_whole_model(monkeypatch, short: Short) -> None:
    child(monkeypatch, "print('[100, 2.0]'); print('[400, 3.0]')")
    assert run_trial(LLAMA, short, {}, 60).ms == ((100, 14.0), (400, 21.0))
    encoder = replace(LLAMA, part="vision")
    assert run_trial(encoder, short, {}, 60).ms == ((100, 2.0), (400, 12.0))


@pytest.mark.parametrize(
    ("script", "within_s", "problem"),
    [
        ("import os; os.kill(os.getpid(), 11)", 60, "crashed with SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", 60, "crashed with SIGKILL"),
        ("print('[1, 2.0]', flush=True); import os; os.abort()", 60, "SIGABRT"),
        ("import time; time.sleep(60)", 0.5, "not finished"),
        ("import sys; sys.exit('OpenVINO cannot.')", 60, "OpenVINO cannot."),
        ("import sys; sys.exit(1)", 60, "failed"),
        ("print('nonsense')", 60, "unreadable"),
        ("print('[1, -2.0]')", 60, "unreadable"),
        ("pass", 60, "unreadable"),
    ],
)
def test_a_variant_that_fails_has_no_times(
    monkeypatch, short: Short, script: str, within_s: float, problem: str
) -> None:
    child(monkeypatch, script)
    result = run_trial(LLAMA, short, {}, within_s)
    assert result.ms == ()
    assert problem in result.problem


def test_if_everything_crashes_the_defaults_serve(
    monkeypatch, settings: Settings
) -> None:
    child(monkeypatch, "import os; os.kill(os.getpid(), 11)")
    said: list[str] = []
    tuning = measure_variants(settings, tiny_files(), said.append)
    assert said
    assert all("crashed with SIGSEGV" in line for line in said)
    save(tuning, settings, tiny_files())
    plan = make_plan(settings, tiny_files())
    default = make_plan(settings, tiny_files(), use_tuning=False)
    assert plan.choice == default.choice
    assert plan.forecast is None
    assert any("crashed" in line for line in table(plan))


@pytest.mark.parametrize(("within_s", "is_brief"), [(5.0, True), (4.5, False)])
def test_nothing_is_started_that_would_end_too_late(
    monkeypatch, settings: Settings, within_s: float, is_brief: bool
) -> None:
    """A trial takes two seconds. With one second left none begins, since one like it
    took longer; with half a second, since that is too short for any."""
    now_s = 0.0

    def trial(variant: Variant, *_: object) -> Measured:
        nonlocal now_s
        now_s += 2
        return Measured(variant, ((1, 1.0),))

    monkeypatch.setattr(tune, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(tune, "run_trial", trial)
    said: list[str] = []
    tuning = measure_variants(
        settings, tiny_files(), said.append, within_s, is_brief=is_brief
    )
    assert now_s <= within_s
    features = host.cpu().features
    n_all = len([*language_variants(settings, features)])
    n_all += len([*vision_variants(settings, features)])
    assert 0 < len(tuning.measured) < n_all
    assert "No time left for" in said[-1]


def test_a_slow_first_trial_does_not_stop_the_others(
    monkeypatch, settings: Settings
) -> None:
    """It reads libraries from disk, and takes three times as long as the next ones."""
    now_s = 0.0

    def trial(variant: Variant, short: Short, environ: object, within_s: float):
        nonlocal now_s
        took_s = 3.0 if now_s else 9.0
        now_s += min(took_s, within_s)
        return Measured(variant, ((1, 1.0),), "late" if took_s > within_s else "")

    monkeypatch.setattr(tune, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(tune, "run_trial", trial)
    tuning = measure_variants(settings, tiny_files(), print, 20.0, is_brief=True)
    assert [each.variant.part for each in tuning.measured] == [
        "language",
        "vision",
        "language",
        "vision",
    ]
    assert now_s <= 20


def test_a_folder_that_cannot_be_used_is_named(settings: Settings) -> None:
    (settings.data_dir / "models").write_text("no folder")
    with pytest.raises(SetupError, match="cannot be used for measuring"):
        measure_variants(settings, tiny_files(), print)


# --- all of it ----------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries one variant of each kind instead of all groups."""
    kernels = (Kernels("f32", 0),)
    monkeypatch.setattr("edge.serving.variants.likely_kernels", lambda _: iter(kernels))
    yield


@pytest.mark.model
def test_all_kinds_of_variants_are_measured(quick: None, settings: Settings) -> None:
    """With more rows in a step than pieces of prompts may have here."""
    files, said = tiny_files(), list[str]()
    settings = replace(settings, chunk_tokens=64)
    tuning = measure_variants(settings, files, said.append, is_brief=True)
    assert [each.problem for each in tuning.measured if each.problem] == []
    ways = {(m.variant.part, m.variant.runtime): m for m in tuning.measured}
    assert len(ways) == 4
    for (part, _), measured in ways.items():
        sizes = [size for size, _ in measured.ms]
        assert sizes == [*ROWS] if part == "language" else max(sizes) <= max(PICTURES)
        assert all(ms > 0 for _, ms in measured.ms)
    save(tuning, settings, files)
    plan = make_plan(settings, files)
    assert plan.tuning == tuning
    assert plan.forecast
    assert [p.name for p in (settings.data_dir / "models").iterdir()] == ["tuned"]


@pytest.mark.model
def test_a_machine_is_tuned_with_one_command(tmp_path: Path) -> None:
    environ = {
        "EDGE_DATA_DIR": str(tmp_path),
        "EDGE_RUNTIME": "llama",
        "EDGE_VISION": "mtmd",
    }
    words = ["doctor", "--tune", "--model", "tiny"]
    result = CliRunner().invoke(app, words, env=environ)
    assert result.exit_code == 0, result.output
    assert "OpenVINO" not in result.stdout
    assert result.stdout.count("(chosen)") == 2
    assert "the next `edge up` uses it" in " ".join(result.stdout.split())
    files = tiny_files()
    settings = Settings.read(environ)
    assert load(settings, files)[0]

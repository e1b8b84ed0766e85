"""The fastest settings are found; those that cannot be measured stay."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import host
from edge.cli.app import app
from edge.errors import SetupError
from edge.models.registry import tiny_files
from edge.serving import tune as tune_module
from edge.serving.memory import memory_need
from edge.serving.plan import Plan, make_plan
from edge.serving.tune import (
    N_STEPS,
    PROMPT_TOKENS,
    Speed,
    embed_s,
    fastest,
    language_choices,
    speed_of,
)
from edge.serving.tuning import find
from edge.settings import Settings
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower

CHOICES = [{"repack": True}, {"chunk_tokens": 128}, {"chunk_tokens": 512}]
LATER = 1e12


def found(
    seconds: Callable[[Settings], float],
    settings: Settings = Settings(),  # noqa: B008 - it is frozen
    ends: float = LATER,
) -> tuple[Settings, list[str]]:
    said: list[str] = []
    return fastest(settings, CHOICES, seconds, said.append, ends), said


def test_each_choice_is_tried_on_top_of_the_best() -> None:
    tried: list[tuple[bool, int]] = []

    def seconds(s: Settings) -> float:
        tried.append((s.repack, s.chunk_tokens))
        return 10.0 - 2 * s.repack - (s.chunk_tokens == 512)

    best, said = found(seconds)
    assert (best.repack, best.chunk_tokens) == (True, 512)
    assert tried == [(False, 256), (True, 256), (True, 128), (True, 512)]
    assert [line.split() for line in said] == [
        ["as", "it", "is", "10.00", "s"],
        ["repack", "on", "8.00", "s", "better"],
        ["chunk_tokens", "128", "8.00", "s"],
        ["chunk_tokens", "512", "7.00", "s", "better"],
    ]


def test_a_difference_within_noise_changes_nothing() -> None:
    best, _ = found(lambda s: 9.8 if s.repack else 10.0)
    assert best == Settings()


def test_given_settings_are_not_tried() -> None:
    written = Settings.read({"EDGE_REPACK": "off", "EDGE_CHUNK_TOKENS": "64"})
    tried: list[Settings] = []

    def seconds(s: Settings) -> float:
        tried.append(s)
        return 1.0

    assert found(seconds, written)[0] == written
    assert tried == [written]


def test_a_failing_choice_is_skipped() -> None:
    def seconds(s: Settings) -> float:
        if s.repack:
            raise SetupError("There is not enough memory.")
        return 10.0 - (s.chunk_tokens == 128)

    best, said = found(seconds)
    assert (best.repack, best.chunk_tokens) == (False, 128)
    assert said[1].split(None, 2)[2] == "failed: There is not enough memory."


def test_failing_defaults_are_an_error() -> None:
    def seconds(_: Settings) -> float:
        raise SetupError("There is no model file.")

    with pytest.raises(SetupError, match="no model file"):
        found(seconds)


def test_nothing_is_started_that_would_end_too_late() -> None:
    def seconds(_: Settings) -> float:
        time.sleep(0.05)
        return 1.0

    best, said = found(seconds, ends=time.monotonic() + 0.08)
    assert best == Settings()
    assert "1.00 s" in said[0]
    assert all("no time left" in line for line in said[1:])


def test_a_runtime_is_measured_by_its_steps() -> None:
    runtime = StubRuntime(step_s=0.01, n_cells=2 * PROMPT_TOKENS)
    speed = speed_of(runtime, 128)
    assert 4 * 0.01 / PROMPT_TOKENS <= speed.row_s < 1.0
    assert min(speed.alone_s, speed.together_s) >= 0.01
    assert speed.n_together == 4
    n_cells = {slot: len(cells) for slot, cells in runtime.cells.items()}
    longest = PROMPT_TOKENS + N_STEPS
    assert n_cells == {0: longest + N_STEPS, 1: longest, 2: longest, 3: longest}
    assert all(cells == list(range(len(cells))) for cells in runtime.cells.values())


def test_a_question_is_its_prompt_and_its_steps() -> None:
    speed = Speed(row_s=0.01, alone_s=0.1, together_s=0.2, n_together=4)
    assert speed.question_s == pytest.approx(4.75 + 64 * (0.1 + 0.05) / 2)


@pytest.mark.parametrize("n_tokens", [1, 16, 64, 256, 475, 1024])
def test_a_picture_has_about_as_many_tokens_as_are_asked_for(n_tokens: int) -> None:
    n, seconds = embed_s(StubTower(), n_tokens)
    assert 0.9 * n_tokens <= n <= n_tokens
    assert seconds > 0


def test_the_runtime_that_is_measured_is_the_one_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole context leaves no room for OpenVINO, the short one of a trial would."""
    settings = Settings(data_dir=tmp_path, context_tokens=65_536, kept=0, kv="f16")
    files = tiny_files()

    def need(runtime: str, **changes: int) -> int:
        exact = replace(settings, runtime=runtime, **changes)
        headers = files.model_header, files.mmproj_header
        return memory_need(*headers, exact).total_bytes

    free = max(need("llama"), need("openvino", context_tokens=2 * PROMPT_TOKENS))
    assert free < need("openvino")
    monkeypatch.setattr(host, "available_memory_bytes", lambda: free)
    measured: list[str] = []

    def build(plan: Plan) -> None:
        measured.append(plan.runtime)
        raise SetupError("This is as far as the test goes.")

    monkeypatch.setattr(tune_module, "build_runtime", build)
    with pytest.raises(SetupError, match="as far as the test goes"):
        tune_module.tune(settings, files, lambda _: None)
    assert measured[0] == make_plan(settings, files).runtime == "llama"


def test_a_runtime_that_was_not_set_may_fall_back_while_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OpenVINO cannot serve the files, llama.cpp is measured."""
    built: list[str] = []

    def build(plan: Plan) -> None:
        built.append(plan.settings.runtime)
        raise SetupError("This is as far as the test goes.")

    monkeypatch.setattr(tune_module, "build_runtime", build)
    with pytest.raises(SetupError, match="as far as the test goes"):
        tune_module.tune(Settings(data_dir=tmp_path), tiny_files(), lambda _: None)
    assert built == ["auto"]


@pytest.mark.model
def test_a_machine_is_tuned_with_one_command(tmp_path: Path) -> None:
    environ = {"EDGE_DATA_DIR": str(tmp_path), "EDGE_CHUNK_TOKENS": "64"}
    words = ["doctor", "--tune", "--model", "tiny"]
    result = CliRunner().invoke(app, words, env=environ)
    assert result.exit_code == 0, result.output
    for name in ("vision", *(next(iter(choice)) for choice in language_choices())):
        tried = name != "chunk_tokens"
        assert (f"\n  {name} " in result.stdout) == tried, result.stdout
    assert "the next `edge up` uses it" in " ".join(result.stdout.split())
    tuning = find(Settings(data_dir=tmp_path), tiny_files())
    assert tuning
    assert tuning.values["chunk_tokens"] == 64
    (small, _), (large, _) = tuning.embed_s
    assert 16 <= small < large <= 96  # what the tiny model takes
    assert 0 < tuning.first_text_s(64) < 60
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [
        "compiled",
        "tuned",
    ]

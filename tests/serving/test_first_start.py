"""The first start measures, later ones use it, and no start fails because of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models.registry import ModelFiles, tiny_files
from edge.serving import first_start
from edge.serving.first_start import tune_at_first_start
from edge.serving.plan import make_plan
from edge.serving.tuning import Tuning, this_machine
from edge.settings import Settings
from tests.serving.tuned import DEFAULT_RESULTS, keep_tuning


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def files() -> ModelFiles:
    return tiny_files()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Limits of the measurements that were started, of a model that is not small."""
    found: list[float] = []

    def measure(
        settings: Settings,
        files: ModelFiles,
        say: Callable[[str], None],
        within_s: float,
        *,
        is_brief: bool,
    ) -> Tuning:
        found.append(within_s)
        made_for = this_machine(settings, files)
        return Tuning(DEFAULT_RESULTS, is_brief, "2026-11-29", made_for)

    monkeypatch.setattr(first_start, "measure_variants", measure)
    monkeypatch.setattr(first_start, "SMALL_BYTES", 0)
    return found


def test_the_first_start_measures_and_the_second_does_not(
    settings, files, starts
) -> None:
    said: list[str] = []
    assert tune_at_first_start(make_plan(settings, files), said.append)
    assert "only this once" in said[0]
    plan = make_plan(settings, files)
    assert plan.tuning
    assert plan.tuning.is_brief
    assert not tune_at_first_start(plan, said.append)
    assert starts == [20.0]


def test_processes_that_start_together_measure_once(settings, files, starts) -> None:
    plan = make_plan(settings, files)
    results: list[bool] = []

    def start() -> None:
        results.append(tune_at_first_start(plan, lambda _: None))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == [True] * 4
    assert len(starts) == 1


def test_a_measured_machine_is_not_measured_again(settings, files, starts) -> None:
    keep_tuning(settings, files)
    assert not tune_at_first_start(make_plan(settings, files), print)
    assert starts == []


def test_a_small_model_is_not_measured(settings, files, starts, monkeypatch) -> None:
    monkeypatch.setattr(first_start, "SMALL_BYTES", 100_000_000)
    said: list[str] = []
    assert not tune_at_first_start(make_plan(settings, files), said.append)
    assert said == starts == []


def test_a_model_for_llama_cpp_alone_is_not_measured(settings, files, starts) -> None:
    plan = make_plan(settings, files)
    header, moe = files.model_header, replace(files)
    values = {**header.values, "general.architecture": "qwen3vlmoe"}
    vars(moe)["model_header"] = replace(header, values=values)  # where it is cached
    assert not tune_at_first_start(replace(plan, files=moe), print)
    assert starts == []


def test_a_folder_that_cannot_be_written_means_defaults(
    settings, files, starts
) -> None:
    plan = make_plan(settings, files)
    (settings.data_dir / "models").write_text("no folder")
    said: list[str] = []
    assert not tune_at_first_start(plan, said.append)
    assert "default kernels, not measured" in said[-1]
    assert starts == []


def test_a_measurement_that_fails_means_defaults(
    settings, files, starts, monkeypatch
) -> None:
    def fail(*_: object, **__: object) -> Tuning:
        raise SetupError("The disk is full.")

    monkeypatch.setattr(first_start, "measure_variants", fail)
    said: list[str] = []
    assert not tune_at_first_start(make_plan(settings, files), said.append)
    assert said[-1].endswith("The disk is full.")


def test_a_start_does_not_wait_for_ever_for_another_one(
    settings, files, starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_start, "WAIT_S", 0.2)
    said: list[str] = []
    with first_start._one_at_a_time(settings, files):
        assert not tune_at_first_start(make_plan(settings, files), said.append)
    assert "another process measures" in said[-1]
    assert starts == []

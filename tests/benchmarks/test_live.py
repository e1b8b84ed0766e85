"""The progress of a run: figures so far, and the time left."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from benchmarks.live import show_progress, view
from benchmarks.load.measure import Workload
from benchmarks.record import Run, Sample, Stage

BY_TIME = Workload("curve", (1, 2), duration_s=90.0, requests=None)
BY_NUMBER = Workload("curve", (1, 2), duration_s=None, requests=10)


def run_of(n: int, stages: list[Stage]) -> Run:
    samples = [Sample(1, float(i), 1.0, "answered") for i in range(n)]
    return Run("a run", "http://here", "", stages=stages, samples=samples)


def text_of(workload: Workload, run: Run, current: Stage | None, now_s: float) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view(workload, run, current, now_s))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_time_left_of_stages_by_duration() -> None:
    text = text_of(BY_TIME, run_of(4, []), Stage(1, 0.0, math.inf), 30.0)
    assert "stage 1 of 2" in text
    assert "2 min 30 s left" in text
    assert "0.133" in text  # 4 answers in 30 s


def test_the_time_left_of_stages_by_requests() -> None:
    text = text_of(BY_NUMBER, run_of(5, []), Stage(1, 0.0, math.inf), 20.0)
    assert "1 min 00 s left" in text  # 15 to come, 4 s each


def test_no_time_left_before_the_first_answer() -> None:
    text = text_of(BY_NUMBER, run_of(0, []), Stage(1, 0.0, math.inf), 3.0)
    assert "left" not in text


@pytest.mark.parametrize("workload", [BY_TIME, BY_NUMBER])
def test_between_stages_the_number_done_is_shown(workload: Workload) -> None:
    text = text_of(workload, run_of(3, [Stage(1, 0.0, 3.0)]), None, 4.0)
    assert "1 of 2 stages done" in text


def test_without_a_terminal_each_stage_is_one_line() -> None:
    console = Console(file=io.StringIO(), width=200)
    run = run_of(3, [])
    with show_progress(BY_TIME, console) as on_progress:
        on_progress(run, Stage(1, 0.0, math.inf), 1.0)
        run.stages.append(Stage(1, 0.0, 3.0))
        on_progress(run, None, 3.0)
        on_progress(run, None, 3.2)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines == ["1 users: 3 answered, 0 refused, 0 failed, P50 1.00 s"]

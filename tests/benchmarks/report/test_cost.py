"""What answers cost, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.record import Run
from benchmarks.report.cost import cost_table, per_rate, per_thousand
from benchmarks.report.page import write_report
from benchmarks.report.summary import Curve, StageSummary, summarise


@pytest.fixture
def stage(run_made: Callable[..., Run]) -> StageSummary:
    [one] = summarise(run_made(users=(4,)))
    return replace(one, requests_per_s=0.25)


def test_a_machine_of_0_90_an_hour_with_900_answers_an_hour(
    stage: StageSummary,
) -> None:
    assert per_thousand(stage, 0.90) == pytest.approx(1.0)
    assert per_rate(stage, 0.90) == pytest.approx(3.6)


def test_without_answers_there_is_no_cost(stage: StageSummary) -> None:
    none = replace(stage, requests_per_s=None)
    assert per_thousand(none, 1) is None and per_rate(none, 1) is None
    [row] = cost_table([Curve("none", [none])], 1).rows
    assert [cell.text for cell in row[2:]] == ["–", "–", "–", ""]


def test_each_configuration_has_a_row_with_its_ratio(stage: StageSummary) -> None:
    on = replace(stage, requests_per_s=0.5)
    other = replace(stage, users=8)
    table = cost_table([Curve("off", [stage]), Curve("on", [on, other])], 0.9)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows == [
        ["off", "4", "0.250", "1.00", "3.60", ""],
        ["on", "4", "0.500", "0.500", "1.80", "×0.500"],
        ["on", "8", "0.250", "1.00", "3.60", ""],
    ]


def test_the_report_has_the_table_only_with_a_price(
    tmp_path: Path, run_made: Callable[..., Run]
) -> None:
    run = run_made(users=(1,))
    title = "Cost, if the machine costs"
    assert title not in write_report([run], tmp_path / "a").read_text()
    with_price = write_report([run], tmp_path / "b", price_per_hour=0.12)
    assert f"{title} 0.120 an hour" in with_price.read_text()

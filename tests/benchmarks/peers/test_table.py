"""The comparison: files of results, and the table that is made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.results import Part, Result, load_all, path_of
from benchmarks.peers.table import markdown_table
from benchmarks.record import Outcome, Sample
from edge.errors import SetupError
from tests.benchmarks.conftest import FINGERPRINT

AT = "2026-11-29T05:10:00+00:00"


def sample(
    e2e_s: float,
    ttft_s: float,
    outcome: Outcome = "answered",
    tokens: int = 64,
    **fields: Any,
) -> Sample:
    return Sample(1, 0.0, e2e_s, outcome, ttft_s=ttft_s, tokens=tokens, **fields)


def part(*samples: Sample, seconds: float = 10.0, **fields: Any) -> Part:
    return Part(AT, seconds, 3_000_000_000, list(samples), **fields)


@pytest.fixture
def result() -> Result:
    parts = {
        "one": part(sample(6, 3), sample(5, 2.5), sample(9, 8)),
        "four": part(*[sample(8, 4, gap_s=0.1 * n) for n in range(1, 9)], seconds=32.0),
        # the first question about the picture does not count
        "known": part(sample(6, 3), sample(2.5, 0.2), sample(2.25, 0.1)),
        "extraction": part(
            sample(7, 3, tokens=90, tpot_s=0.04), sample(8, 3, tokens=101, tpot_s=0.05)
        ),
        "idle": Part(AT, 30.0, 4_100_000_000, cpu_percent=0.84),
    }
    return Result("Some server", "1.2", FINGERPRINT, parts)


def row(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_medians_rates_and_maxima(result: Result) -> None:
    assert row(markdown_table([result]), "Some server") == [
        "Some server",
        "1.2",
        "6.00 (3.00)",
        "0.250",
        "0.80",
        "2.38 (0.150)",
        "7.50 (3.00)",
        "96 (45.0)",
        "4.1",
        "0.8",
        "2026-11-29 05:10",
    ]


def test_what_was_not_measured_is_a_dash(result: Result) -> None:
    result.parts = {"one": result.parts["one"]}
    cells = row(markdown_table([result]), "Some server")
    assert cells[3:9] == ["–"] * 5 + ["3.0"]


def test_a_part_without_answers_shows_its_error(result: Result) -> None:
    failure = sample(0.1, 0, "failed", code="400")
    result.parts["extraction"] = part(failure)
    result.parts["four"] = part(failure)
    cells = row(markdown_table([result]), "Some server")
    assert (cells[3], cells[6], cells[7]) == ("failed: 400", "failed: 400", "–")


def test_a_failure_does_not_count_as_an_answer(result: Result) -> None:
    four = [sample(8, 4), sample(1, 1, "failed", code="500")]
    result.parts["four"] = part(*four, seconds=10.0)
    assert row(markdown_table([result]), "Some server")[3] == "0.100"


def test_each_machine_is_named_once(result: Result) -> None:
    other = Result("Other", "3", FINGERPRINT, result.parts)
    table = markdown_table([result, other])
    assert table.count("2 cores of AMD EPYC 9654 (avx2, avx512f, ") == 1


def test_a_result_is_read_as_it_was_written(result: Result, tmp_path: Path) -> None:
    path = result.save(tmp_path / "new folder")
    assert path == path_of(tmp_path / "new folder", "Some server")
    assert path.name == "some-server.json"
    assert load_all(path.parent) == [result]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "parts": {"one": 3}}']
)
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SetupError, match="not a result"):
        load_all(tmp_path)

"""What `edge monitor` keeps survives a restart, and its figures are those of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.history import Health, History, Look
from edge.errors import SetupError


def looked(n: int, e2e_s: float = 1.0, outcome: str = "answered") -> Look:
    return Look(f"2026-01-01T00:{n // 60:02}:{n % 60:02}+00:00", e2e_s, 0.5, outcome)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    before = History(path)
    before.add(looked(1))
    before.add(looked(2, outcome="failed"))
    after = History(path)
    assert after.looks == before.looks
    after.add(looked(3))
    assert History(path).looks == [looked(1), looked(2, outcome="failed"), looked(3)]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json", keep=3)
    for n in range(5):
        history.add(looked(n))
    assert history.looks == [looked(2), looked(3), looked(4)]
    assert History(tmp_path / "monitor.json").looks == history.looks


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9, "looks": []}', "\0"])
def test_another_file_is_neither_read_nor_overwritten(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "monitor.json"
    path.write_text(text)
    with pytest.raises(SetupError, match="no history"):
        History(path)
    assert path.read_text() == text


def test_health_counts_what_had_no_answer_apart() -> None:
    looks = [looked(n, e2e_s=float(n)) for n in range(1, 101)]
    health = Health.of(
        [*looks, looked(101, 600.0, "failed"), looked(102, 0, "refused")]
    )
    assert (health.p50_s, health.p90_s, health.p99_s) == (50.0, 90.0, 99.0)
    assert (health.n, health.n_unanswered) == (102, 2)
    assert "P99 99.0 s" in health.line()
    assert "2 unanswered" in health.line()


def test_without_an_answer_there_are_no_percentiles() -> None:
    assert Health.of([looked(1, outcome="failed")]).p99_s is None
    assert "P50 -" in Health.of([]).line()


def test_the_csv_holds_every_look(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json")
    history.add(looked(1))
    history.add(looked(2, outcome="refused"))
    history.write_csv(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["answered", "refused"]
    assert float(rows[0]["e2e_s"]) == 1.0


def test_as_a_run_it_keeps_times_and_outcomes(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json")
    history.add(looked(1, 2.0))
    history.add(looked(31, 3.0, "failed"))
    run = history.as_run()
    assert [sample.began_s for sample in run.samples] == [0.0, 30.0]
    assert [sample.outcome for sample in run.samples] == ["answered", "failed"]

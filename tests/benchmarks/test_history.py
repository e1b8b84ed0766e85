"""The history of `edge monitor` and its percentiles."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.history import Health, History, Probe
from edge.errors import SetupError


def probed(n: int, e2e_s: float = 1.0, outcome: str = "answered") -> Probe:
    return Probe(f"2026-01-01T00:{n // 60:02}:{n % 60:02}+00:00", e2e_s, 0.5, outcome)


def test_a_history_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    before = History(path)
    before.add(probed(1))
    before.add(probed(2, outcome="failed"))
    after = History(path)
    assert after.probes == before.probes
    after.add(probed(3))
    assert History(path).probes == [probed(1), probed(2, outcome="failed"), probed(3)]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json", keep=3)
    for n in range(5):
        history.add(probed(n))
    assert history.probes == [probed(2), probed(3), probed(4)]
    assert History(tmp_path / "monitor.json").probes == history.probes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9, "looks": []}', "\0"])
def test_an_invalid_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "monitor.json"
    path.write_text(text)
    with pytest.raises(SetupError, match="not a history"):
        History(path)
    assert path.read_text() == text


def test_health_counts_unanswered_probes_separately() -> None:
    probes = [probed(n, e2e_s=float(n)) for n in range(1, 101)]
    health = Health.of(
        [*probes, probed(101, 600.0, "failed"), probed(102, 0, "refused")]
    )
    assert (health.p50_s, health.p90_s, health.p99_s) == (50.0, 90.0, 99.0)
    assert (health.n, health.n_unanswered) == (102, 2)
    assert "P99 99.0 s" in health.line()
    assert "2 unanswered" in health.line()


def test_without_an_answer_there_are_no_percentiles() -> None:
    assert Health.of([probed(1, outcome="failed")]).p99_s is None
    assert "P50 -" in Health.of([]).line()


def test_the_csv_contains_every_probe(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json")
    history.add(probed(1))
    history.add(probed(2, outcome="refused"))
    history.write_csv(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["answered", "refused"]
    assert float(rows[0]["e2e_s"]) == 1.0


def test_as_a_run_it_keeps_times_and_outcomes(tmp_path: Path) -> None:
    history = History(tmp_path / "monitor.json")
    history.add(probed(1, 2.0))
    history.add(probed(31, 3.0, "failed"))
    run = history.as_run()
    assert [sample.began_s for sample in run.samples] == [0.0, 30.0]
    assert [sample.outcome for sample in run.samples] == ["answered", "failed"]

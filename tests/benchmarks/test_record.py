"""Saved runs load again; other files are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.record import ResourceSample, Run, Sample, Stage
from benchmarks.report.summary import summarise
from edge.errors import SetupError

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

finite = st.floats(0, 1e9)
maybe = st.none() | finite
words = st.text(max_size=20)
samples = st.builds(
    Sample,
    users=st.integers(1, 64),
    began_s=finite,
    e2e_s=finite,
    outcome=st.sampled_from(["answered", "refused", "failed", "aborted"]),
    kind=words,
    code=words,
    ttft_s=maybe,
    tpot_s=maybe,
    gap_s=maybe,
    tokens=st.integers(0, 4096),
    cached=st.booleans(),
)
runs = st.builds(
    Run,
    name=words,
    url=words,
    began_at=words,
    scenario=words,
    fingerprint=st.dictionaries(words, st.integers() | words | st.lists(words)),
    stages=st.lists(st.builds(Stage, st.integers(1, 64), finite, finite), max_size=3),
    samples=st.lists(samples, max_size=5),
    watched=st.lists(
        st.builds(
            ResourceSample,
            finite,
            finite,
            st.dictionaries(words, st.integers(0, 2**40)),
            st.none() | st.integers(0, 99),
        ),
        max_size=3,
    ),
)


@given(runs)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_saved_run_loads_equal(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "run.json"
    run.save(path)
    assert Run.load(path) == run


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"schema": 2}',
        '{"schema": 1}',
        '{"schema": 1, "stages": [], "samples": [], "watched": []}',
        '{"schema": 1, "stages": [{"no": 1}], "samples": [], "watched": []}',
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(SetupError, match=r"other\.json is not a benchmark result"):
        Run.load(path)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.json").write_bytes(b"\xff\xd8\xff\xe0")
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "picture.json"):
        with pytest.raises(SetupError):
            Run.load(path)


def test_an_unknown_field_is_refused(tmp_path: Path, run_empty: Run) -> None:
    path = tmp_path / "run.json"
    run_empty.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    with pytest.raises(SetupError):
        Run.load(path)


@pytest.mark.parametrize("name", ["ours", "llama-server", "transformers"])
def test_recorded_results_stay_readable(name: str) -> None:
    run = Run.load(RESULTS / name / "run.json")
    with (RESULTS / name / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, stage in zip(rows, summarise(run), strict=True):
        assert stage.users == int(row["users"])
        assert stage.answered == int(row["answered"])
        assert str(stage.gap_max_s or "") == row["gap_max_s"]
        assert str(stage.requests_per_s or "") == row["requests_per_s"]

"""The page is one safe file with the figures of the summaries."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.record import Run, Sample, Stage
from benchmarks.report.figures import NOTE, format_figure, three_digits
from benchmarks.report.knee import find_knee
from benchmarks.report.page import write_report
from benchmarks.report.published import PUBLISHED
from benchmarks.report.summary import summarise
from benchmarks.report.terminal import terminal_table

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}"


class Page(HTMLParser):
    """A parsed report: its tags, its tables by title, its words."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words = ""
        self.title = ""
        self.open: list[str] = []
        self.feed((folder / "report.html").read_text())
        self.close()
        assert not self.open, "some tags were not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "h3":
            self.title = ""
        elif tag == "tr":
            self.tables.setdefault(self.title, []).append([])
        elif tag in ("td", "th"):
            self.tables[self.title][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            assert "url(" not in data and "@import" not in data
            return
        self.words += data
        if "h3" in self.open:
            self.title += data
        elif self.open and self.open[-1] in ("td", "th", "span") and "tr" in self.open:
            self.tables[self.title][-1][-1] += data


def written(folder: Path, *runs: Run, command: str = "") -> Page:
    assert write_report(runs, folder, command) == folder / "report.html"
    files = {path.name for path in folder.iterdir() if path.suffix != ".png"}
    assert files == {"report.html", "table.csv"}
    page = Page(folder)
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "base", "form", "a", "svg"}
    )
    for _, attrs in page.tags:
        assert "href" not in attrs and "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        assert (attrs.get("src") or "data:image/png;base64,").startswith(
            "data:image/png;"
        )
    return page


def test_the_tables_contain_the_summaries(tmp_path: Path, run_plain: Run) -> None:
    page = written(tmp_path, run_plain, command="edge bench --stages 1,2,4,8,16")
    stages = summarise(run_plain)
    rows = page.tables["Latency"][1:]
    assert [row[:3] for row in rows] == [
        [str(s.users), format_figure(s.e2e_mean_s), format_figure(s.e2e_p50_s)]
        for s in stages
    ]
    rows = page.tables["Throughput and load"][1:]
    assert [row[1] for row in rows] == [format_figure(s.requests_per_s) for s in stages]
    rows = page.tables["Requests"][1:]
    assert [row[1:6] for row in rows] == [
        [str(n) for n in (s.requests, s.answered, s.cached, s.refused, s.failed)]
        for s in stages
    ]
    assert find_knee(stages).reason in page.words
    assert "edge bench --stages 1,2,4,8,16" in page.words
    assert "AMD EPYC 9654" in page.words and "17.2 GB" in page.words


def test_published_figures_are_beside_ours(tmp_path: Path, run_plain: Run) -> None:
    page = written(tmp_path, run_plain)
    rows = [row for row in page.tables["Side by side"] if row[1] == PUBLISHED.name]
    assert [row[2] for row in rows] == [
        three_digits(s.requests_per_s) for s in PUBLISHED.stages
    ]
    assert [row[4] for row in rows] == [
        three_digits(s.mean_s) for s in PUBLISHED.stages
    ]
    assert "Not the machine of this report." in page.words


def test_only_a_curve_is_compared_with_published_figures(
    tmp_path: Path, run_soak: Run
) -> None:
    page = written(tmp_path, run_soak)
    assert PUBLISHED.name not in page.words and "Side by side" not in page.tables


def test_a_toy_model_is_not_compared_with_published_figures(
    tmp_path: Path, run_plain: Run
) -> None:
    toy = replace(run_plain, fingerprint={"server": {"models": ["tiny"]}})
    write_report([toy], tmp_path)
    assert PUBLISHED.name not in (tmp_path / "report.html").read_text()


def test_a_soak_reports_rising_figures(tmp_path: Path, run_soak: Run) -> None:
    page = written(tmp_path, run_soak)
    assert "The latency is steady" in page.words
    assert "The resident memory is rising" in page.words
    assert (tmp_path / "memory-over-time.png").is_file()


def test_a_soak_has_a_table_of_what_the_server_held(
    tmp_path: Path, run_soak: Run
) -> None:
    times = range(0, 1800, 5)
    run_soak.held = {
        "threads of ui": [(t, 9.0) for t in times],
        "memory of worker": [(t, 100 + t / 60) for t in times],
    }
    page = written(tmp_path, run_soak)
    head, *rows = page.tables["Held"]
    assert head[0] == "held" and head[-1] == "verdict"
    assert [(row[0], row[-1]) for row in rows] == [
        ("memory of worker, MB", "growing"),
        ("threads of ui", "bounded"),
    ]
    assert "Held: memory of worker is growing." in page.words


def test_kinds_have_a_table_when_there_are_several(
    tmp_path: Path, run_made: Callable[..., Run]
) -> None:
    run = run_made(users=(1,), kinds=("picture", "text", "high-resolution picture"))
    rows = written(tmp_path, run).tables["By kind"]
    assert [row[0] for row in rows[1:]] == [
        "text",
        "picture",
        "high-resolution picture",
    ]
    assert "By kind" not in written(tmp_path / "one", run_made(users=(1,))).tables


def test_drafting_has_a_table_when_it_has_saved_steps(
    tmp_path: Path, run_made: Callable[..., Run]
) -> None:
    run = run_made(users=(1,))
    assert "Drafting" not in written(tmp_path / "one", run).tables
    counts = {"drafted_tokens": 40, "accepted_tokens": 30, "saved_steps": 50}
    run.samples = [replace(run.samples[0], cached=False, **counts)]
    [_, row] = written(tmp_path / "two", run).tables["Drafting"]
    assert row == ["1", "40", "30", "50"]


def test_two_runs_are_compared_at_equal_users(
    tmp_path: Path, run_made: Callable[..., Run]
) -> None:
    ours = run_made(users=(1, 2, 4))
    theirs = run_made(name="theirs", users=(2, 4, 8), alone_s=4.8, seed=5)
    page = written(tmp_path, ours, theirs)
    a, b = ({s.users: s for s in summarise(run)} for run in (ours, theirs))
    rows = {(row[0], row[1]): row for row in page.tables["Side by side"]}
    assert rows["4", "theirs"][2] == three_digits(b[4].requests_per_s)
    ratio = three_digits(b[4].requests_per_s / a[4].requests_per_s)
    assert rows["4", "theirs"][3] == f"×{ratio}"
    assert rows["4", "Edge-VL"][3] == rows["8", "theirs"][3] == ""
    assert f"With 4 users at the same time, theirs answered {ratio} times" in page.words
    column = next(
        i
        for i, heading in enumerate(page.tables["Side by side"][0])
        if heading.startswith("longest pause")
    )
    assert rows["4", "theirs"][column] == three_digits(b[4].gap_max_s)


def test_names_are_text_and_never_markup(
    tmp_path: Path, run_made: Callable[..., Run]
) -> None:
    run = run_made(name=HOSTILE, kinds=("picture", HOSTILE), seconds=60)
    run.question = run.scenario = HOSTILE
    run.fingerprint = {HOSTILE: {HOSTILE: HOSTILE}}
    for folder, runs in (("one", [run]), ("two", [run, run])):
        page = written(tmp_path / folder, *runs, command=HOSTILE)
        assert HOSTILE in page.words
        assert "<script" not in (tmp_path / folder / "report.html").read_text()


def test_runs_cut_short_and_empty_have_a_report(
    tmp_path: Path, run_empty: Run, run_cut_short: Run, run_soak: Run
) -> None:
    page = written(tmp_path / "cut", run_cut_short)
    assert page.tables["Latency"][2][:3] == ["2", "–", "–"]
    assert "No stage was measured." in written(tmp_path / "empty", run_empty).words
    written(tmp_path / "both", run_empty, run_cut_short)
    run_soak.samples, run_soak.watched = run_soak.samples[:1], []
    page = written(tmp_path / "soak", run_soak)
    assert "The latency cannot be judged" in page.words


def test_samples_of_no_stage_are_reported(tmp_path: Path, run_cut_short: Run) -> None:
    del run_cut_short.stages[0]
    n = len(run_cut_short.samples)
    assert f"{n} requests belong to no stage" in written(tmp_path, run_cut_short).words


def test_few_answers_are_marked(tmp_path: Path, run_made: Callable[..., Run]) -> None:
    page = written(tmp_path, run_made(users=(1,), seconds=20))
    assert page.tables["Latency"][1][4].endswith("†") and NOTE in page.words


def test_the_csv_has_a_row_for_each_stage(
    tmp_path: Path, run_plain: Run, run_cut_short: Run
) -> None:
    written(tmp_path, run_plain, run_cut_short)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stages = [*summarise(run_plain), *summarise(run_cut_short)]
    assert [int(row["users"]) for row in rows] == [s.users for s in stages]
    for row, stage in zip(rows, stages, strict=True):
        assert row["e2e_mean_s"] == str(stage.e2e_mean_s or "")
        p99 = stage.e2e_p99_s
        assert row["e2e_p99_s"] == (str(p99.value) if p99 and p99.enough else "")


@pytest.mark.parametrize("fails_from", [None, 1])
def test_the_terminal_table_fits(
    run_made: Callable[..., Run], fails_from: int | None
) -> None:
    run = run_made(users=(1, 2, 16, 64), fails_from=fails_from, seconds=90)
    text = StringIO()
    console = Console(
        file=text, width=100, color_system="standard", force_terminal=True
    )
    console.print(terminal_table(summarise(run)))
    assert "…" not in text.getvalue()
    assert ("\x1b[31m" in text.getvalue()) == bool(fails_from)  # red
    assert "\x1b[33m" in text.getvalue()  # yellow: with 64 users some were refused


def test_the_terminal_table_of_a_fast_server_fits_in_a_file(
    run_made: Callable[..., Run],
) -> None:
    run = run_made(users=(1, 16, 64), seconds=1, alone_s=0.01)
    text = StringIO()
    Console(file=text, width=120).print(terminal_table(summarise(run)))
    assert "…" not in text.getvalue()


def test_the_terminal_table_shows_the_longest_pause() -> None:
    run = Run("a run", "http://127.0.0.1", "", stages=[Stage(2, 0.0, 10.0)])
    run.samples = [
        Sample(2, 0.0, 3.0, "answered", gap_s=0.25),
        Sample(2, 0.0, 3.0, "answered", gap_s=0.75),
        Sample(2, 0.0, 3.0, "failed", gap_s=9.0),
    ]
    table = terminal_table(summarise(run))
    (column,) = (column for column in table.columns if "pause" in str(column.header))
    assert list(column.cells) == ["0.750"]


def test_the_terminal_table_of_nothing(run_empty: Run, run_cut_short: Run) -> None:
    for run in (run_empty, run_cut_short):
        Console(file=StringIO(), width=100).print(terminal_table(summarise(run)))

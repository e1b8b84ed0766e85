"""The tables of a report: their rows, and their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.record import Run
from benchmarks.report.columns import (
    ANSWERED,
    COMPARED,
    DRAFTING,
    LOAD,
    MEAN,
    P50,
    P90,
    P95,
    P99,
    P999,
    PUBLISHED_FIGURES,
    REQUEST_RATE,
    REQUESTS,
    STREAM,
    WITH_RATIO,
    Column,
    ratio,
)
from benchmarks.report.figures import MARK, NOTE, format_figure, three_digits
from benchmarks.report.growth import GROWTH_HEAD, growth, growth_row
from benchmarks.report.published import Published, PublishedStage
from benchmarks.report.summary import Curve, StageSummary, summarise_by_kind


class Heading(NamedTuple):
    label: str
    unit: str = ""


class Cell(NamedTuple):
    text: str
    css_class: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    head: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]

    @property
    def note(self) -> str:
        is_marked = any(MARK in cell.text for row in self.rows for cell in row)
        return NOTE if is_marked else ""


def growth_table(run: Run, suffix: str) -> Iterator[Table]:
    """What the server held during a soak, and the verdicts; nothing of other runs."""
    if run.held:
        css = {"growing": "bad", "undecided": "warn"}
        rows = [
            [Cell(text, css.get(text, "")) for text in growth_row(one)]
            for one in growth(run)
        ]
        heads = [Heading(label) for label in GROWTH_HEAD]
        yield Table(f"Held{suffix}", heads, rows)


def stage_tables(run: Run, curve: Curve, suffix: str) -> Iterator[Table]:
    """The tables of one run, with `suffix` after their titles."""
    stages = [(str(stage.users), stage) for stage in curve.stages]
    tail = (P999,) if any(stage.e2e_p999_s for stage in curve.stages) else ()
    latency = (MEAN, P50, P90, P95, P99, *tail, *STREAM)
    yield _table(f"Latency{suffix}", "users", stages, latency)
    yield _table(f"Throughput and load{suffix}", "users", stages, LOAD)
    yield _table(f"Requests{suffix}", "users", stages, REQUESTS)
    if any(stage.saved_steps for stage in curve.stages):
        yield _table(f"Drafting{suffix}", "users", stages, DRAFTING)
    processes = {name for stage in curve.stages for name in stage.peak_resident_bytes}
    if processes:
        columns = [_process_column(name) for name in sorted(processes)]
        yield _table(f"Peak memory{suffix}", "users", stages, columns)
    if len(kinds := summarise_by_kind(run)) > 1:
        columns = [ANSWERED, P50, P90, P95, P99, REQUEST_RATE]
        yield _table(f"By kind{suffix}", "kind", kinds.items(), columns)


def _process_column(name: str) -> Column:
    def megabytes(stage: StageSummary) -> float | None:
        peak = stage.peak_resident_bytes.get(name)
        return None if peak is None else peak / 1e6

    return Column(name, "MB", megabytes)


def _table(
    title: str,
    key: str,
    stages: Iterable[tuple[str, StageSummary]],
    columns: Sequence[Column],
) -> Table:
    head = [Heading(key), *(Heading(c.label, c.unit) for c in columns)]
    rows = [[Cell(name), *(_cell(c, stage) for c in columns)] for name, stage in stages]
    return Table(title, head, rows)


def side_by_side(curves: Sequence[Curve], published: Published | None) -> Table:
    """A row for each number of users and run, then the published figures.

    Several runs get a ratio to the first run after each figure of WITH_RATIO."""
    ratio_columns = WITH_RATIO if len(curves) > 1 else ()
    head = [Heading("users"), Heading("run")]
    for column in COMPARED:
        head.append(Heading(column.label, column.unit))
        if column in ratio_columns:
            head.append(Heading("ratio"))
    by_users = [{stage.users: stage for stage in curve.stages} for curve in curves]
    published_stages = {s.users: s for s in published.stages} if published else {}
    rows: list[list[Cell]] = []
    for users in sorted(
        {*published_stages, *(n for stages in by_users for n in stages)}
    ):
        first = by_users[0].get(users)
        for curve, stages in zip(curves, by_users, strict=True):
            if stage := stages.get(users):
                base = None if stage is first else first
                cells = _compared_cells(stage, base, ratio_columns)
                rows.append([Cell(str(users)), Cell(curve.name, "name"), *cells])
        if published and users in published_stages:
            name = Cell(published.name, "published name")
            cells = _published_cells(published_stages[users], ratio_columns)
            rows.append([Cell(str(users), "published"), name, *cells])
    return Table("Side by side", head, rows)


def _compared_cells(
    stage: StageSummary, base: StageSummary | None, ratio_columns: Sequence[Column]
) -> Iterator[Cell]:
    for column in COMPARED:
        yield _cell(column, stage)
        if column in ratio_columns:
            times = ratio(column, stage, base) if base else None
            yield Cell(f"×{three_digits(times)}" if times else "", "ratio")


def _published_cells(
    stage: PublishedStage, ratio_columns: Sequence[Column]
) -> Iterator[Cell]:
    for column in COMPARED:
        figure = PUBLISHED_FIGURES.get(column)
        yield Cell(format_figure(figure(stage) if figure else None), "published")
        if column in ratio_columns:
            yield Cell("", "published")


def _cell(column: Column, stage: StageSummary) -> Cell:
    figure = column.figure(stage)
    text = f"{figure:,}" if isinstance(figure, int) else format_figure(figure)
    return Cell(text, column.css_class if figure else "")

"""Progress of a long operation: a bar at a terminal, one line per tenth elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console
from rich.filesize import decimal

Progress = Callable[[int, int], None]  # bytes done, bytes in all


def no_progress(done: int, total: int) -> None:
    """Shows nothing."""


@contextmanager
def show_progress(label: str) -> Iterator[Progress]:
    """Shows on stderr how far `label` is."""
    if not sys.stderr.isatty():
        yield report_tenths(
            lambda line: print(line, file=sys.stderr, flush=True), label
        )
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task: rich_progress.TaskID | None = None

        def progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:  # starts with the bytes already here: they are not speed
                task = bar.add_task(label, completed=done, total=total)
            bar.update(task, completed=done, total=total)

        yield progress


def report_tenths(print_line: Callable[[str], None], label: str) -> Progress:
    """Prints a line each time another tenth is reached."""
    reported: int | None = None

    def progress(done: int, total: int) -> None:
        nonlocal reported
        tenth = 10 * done // max(total, 1)
        if reported is None or tenth > reported:
            reported = tenth
            print_line(f"{label}: {10 * tenth} % of {decimal(total)}")

    return progress

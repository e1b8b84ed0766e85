"""How far a long thing is: a bar at a terminal, a line for each tenth elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console
from rich.filesize import decimal

Progress = Callable[[int, int], None]  # bytes done, bytes in all


def unseen(done: int, total: int) -> None:
    """Shows nothing."""


@contextmanager
def shown(label: str) -> Iterator[Progress]:
    """Shows on stderr how far `label` is."""
    if not sys.stderr.isatty():
        yield in_tenths(lambda line: print(line, file=sys.stderr, flush=True), label)
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
            if task is None:  # begun with what is there, or the speed would count it
                task = bar.add_task(label, completed=done, total=total)
            bar.update(task, completed=done, total=total)

        yield progress


def in_tenths(say: Callable[[str], None], label: str) -> Progress:
    """Says a line at each tenth that is reached for the first time."""
    said = -1

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // max(total, 1)
        if tenth > said:
            said = tenth
            say(f"{label}: {10 * tenth} % of {decimal(total)}")

    return progress

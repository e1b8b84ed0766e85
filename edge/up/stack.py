"""The running parts of `edge up`: started, kept alive, stopped in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from edge.logs import printable, rotate, start_afresh
from edge.up.supervise import Child, Part

LOOK_S: Final = 0.5  # until a dead part, or a signal, is noticed

console = Console(highlight=False, soft_wrap=True)


class Stack:
    """Running parts. `asked` collects the signals that ask it to stop."""

    def __init__(self, logs: Path, asked: list[int]) -> None:
        self._logs = logs
        self._asked = asked
        self._children: list[Child] = []
        self._begun: set[str] = set()

    def start(self, part: Part) -> None:
        """Returns when the part is ready. Starts nothing after a request to stop."""
        if self._asked:
            return
        child = self.begin(part)
        child.wait_ready(is_stopping=lambda: self.is_stopping)
        self.keep(child)

    @property
    def is_stopping(self) -> bool:
        return bool(self._asked)

    def begin(self, part: Part) -> Child:
        """Starts a part, which is not kept alive before `keep`. The log of one that was
        started before goes on: it may say why that failed."""
        log = self._logs / f"{part.name}.log"
        if part.name not in self._begun:
            start_afresh(log)
        self._begun.add(part.name)
        child = Child(part, log, is_kept_alive=False)
        child.start()
        self._children.append(child)
        return child

    def keep(self, child: Child) -> None:
        """Restarts a part, which is ready now, whenever it dies."""
        child.is_kept_alive = True
        self._say(child, f"ready, {child.part.about}")

    def drop(self, child: Child) -> None:
        """Forgets a part that has ended, or ends it at once."""
        child.stop(in_a_hurry=lambda: True)
        self._children.remove(child)
        self._say(child, "stopped, it ran for")

    def watch(self, look: Callable[[], None]) -> None:
        """Keeps all parts alive until a request to stop, and calls `look` between."""
        while not self._asked:
            for child in self._children:
                try:
                    if child.is_kept_alive and (news := child.revive()):
                        self._say(child, news)
                    rotate(child.log)
                except (OSError, RuntimeError) as error:  # no disk, memory or threads
                    self._say(child, f"cannot be looked after ({error})")
            look()
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """First, ui and worker finish their work while nginx still delivers answers;
        the queue, which stores waiting jobs, stops last."""
        draining = [child for child in self._children if child.part.drains]
        others = [child for child in self._children if not child.part.drains]
        n_signals = len(self._asked)
        for child in draining:
            child.ask()
        for child in (*reversed(draining), *reversed(others)):
            child.stop(in_a_hurry=lambda: len(self._asked) > n_signals)
            if child.is_asked:  # it may have ended while another one still worked
                self._say(child, "stopped, it ran for")

    def say(self, name: str, news: str) -> None:
        """Tells the operator."""
        console.print(f"  [bold]{name:7}[/] {escape(printable(news))}")

    def _say(self, child: Child, news: str) -> None:
        """`news` of a part, with the seconds since it was started."""
        seconds = time.monotonic() - child.started
        line = f"[bold]{child.part.name:7}[/] {escape(printable(news))}"
        console.print(f"  {line}  [dim]{seconds:.1f} s[/]")

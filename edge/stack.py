"""`edge up`: the whole service on one machine, without Docker and without root.

    broker, cache -> worker -> ui -> nginx

Starts each when the one before it is ready, restarts what dies, and lets running
answers end before it stops them.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from edge.errors import SetupError
from edge.models.check import check
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.models.tuning import tuned
from edge.parts import parts
from edge.settings import Settings
from edge.supervise import Child, Part

RESERVE_BYTES = 700 << 20  # Python, Gradio, both Redis servers and nginx together

console = Console(highlight=False, soft_wrap=True)


def up(settings: Settings, port: int, *, with_nginx: bool) -> None:
    """Runs everything until SIGINT or SIGTERM.

    Raises SetupError, with nothing left running, when a part cannot start.
    """
    check_port(port)
    files = find_model(settings, obtain)
    if settings.model == "auto":  # decided here, and once
        settings = replace(settings, model=files.name)
    settings, tuning, said = tuned(settings, files)
    _, most = check(files, settings, reserve_bytes=RESERVE_BYTES)
    if tuning:
        said += f" {tuning.forecast(most)}"
    state = settings.data_dir / "state" / str(port)  # one for each running stack
    logs = state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edge-") as folder, _signals() as asked:
        os.chmod(folder, 0o711)  # nginx's workers may be another user
        plan = parts(settings, port, Path(folder), state, with_nginx=with_nginx)
        stack = Stack(logs, asked)
        try:
            stack.start(plan)
            if not asked:
                console.print(
                    f"\n[bold]Open http://localhost:{port}[/]   "
                    f"API: http://localhost:{port}/v1   Logs: {logs}\n"
                    f"Serving {files.name}. {said}\n"
                    "Ctrl-C lets running answers end, within "
                    f"{settings.grace_s} s, and stops everything; twice: at once."
                )
            stack.watch()
        finally:
            stack.stop()


class Stack:
    """Running parts. `asked` fills with the signals that ask it to stop."""

    def __init__(self, logs: Path, asked: list[int]) -> None:
        self._logs = logs
        self._asked = asked
        self._children: list[Child] = []

    def start(self, plan: Iterable[Part]) -> None:
        for part in plan:
            if self._asked:
                return
            log = self._logs / f"{part.name}.log"
            log.write_bytes(b"")
            child = Child(part, log)
            self._children.append(child)
            child.start()
            child.wait_ready(is_stopping=lambda: bool(self._asked))
            self._say(child, f"ready, {part.about}")

    def watch(self) -> None:
        while not self._asked:
            for child in self._children:
                if news := child.revive():
                    self._say(child, news)
            time.sleep(0.2)

    def stop(self) -> None:
        """First nobody new is let in and the work ends, while the front door still
        carries answers out; the queue, which remembers the rest, is the last to go."""
        draining = [child for child in self._children if child.part.drains]
        others = [child for child in self._children if not child.part.drains]
        n_signals = len(self._asked)
        for child in draining:
            child.ask()
        for child in (*reversed(draining), *reversed(others)):
            if child.is_alive:
                child.stop(in_a_hurry=lambda: len(self._asked) > n_signals)
                self._say(child, "stopped")

    def _say(self, child: Child, news: str) -> None:
        seconds = time.monotonic() - child.started
        console.print(f"  [bold]{child.part.name:7}[/] {news}  [dim]{seconds:.1f} s[/]")


def check_port(port: int) -> None:
    """Raises SetupError when somebody listens on `port` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise SetupError(
                f"Port {port} cannot be used: {error.strerror}. Stop what uses it, or "
                f"choose another: edge up --port {port + 1}."
            ) from None


@contextmanager
def _signals() -> Iterator[list[int]]:
    """A list that SIGINT, SIGTERM and SIGHUP are added to while the block runs."""
    asked: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [
        signal.signal(kind, lambda number, _: asked.append(number)) for kind in kinds
    ]
    try:
        yield asked
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)

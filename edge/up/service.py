"""`edge up`: the whole service on one machine, without Docker and without root.

    broker, cache -> workers -> ui -> nginx

Starts each part when the one before it is ready, restarts dead parts, and lets running
answers finish before it stops.
"""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from edge import exposure
from edge.errors import SetupError
from edge.logs import printable
from edge.settings import Settings
from edge.up.account import leave_root
from edge.up.checks import CHECKS, private_state
from edge.up.models import plan_models
from edge.up.parts import front, start_stores
from edge.up.private import UMASK
from edge.up.stack import Stack, console
from edge.up.workers import Workers


def up(
    settings: Settings, port: int, *, with_nginx: bool, user: str | None = None
) -> None:
    """Runs everything until SIGINT or SIGTERM; under root, as the account `user`.

    Raises SetupError, with nothing left running, when a part cannot start.
    """
    os.umask(UMASK)
    settings, running_as = leave_root(settings, user)
    if running_as:
        console.print(running_as)
    if settings.keys_file:  # relative paths end here: each part has its own folder
        settings = replace(settings, keys_file=str(settings.keys_path.absolute()))
    for name, check in CHECKS.items():
        if name == "nginx" and not with_nginx:
            continue
        if (found := check(settings, port)).level == "note":
            console.print(escape(printable(found.message)))
    plans = plan_models(settings, lambda line: console.print(escape(printable(line))))
    state = private_state(settings, port)  # again: a download may have filled the disk
    with (
        _alone(state, port),
        _temporary_folder() as folder,
        _signals() as asked,
    ):
        stack = Stack(state / "logs", asked)
        try:
            has_own_broker = not settings.broker_url
            settings = start_stores(settings, Path(folder), state, stack.start)
            workers = Workers(settings, Path(folder), stack)
            workers.start(plans, has_own_broker=has_own_broker)
            for part in front(settings, port, Path(folder), with_nginx=with_nginx):
                stack.start(part)
            if not asked:
                console.print(_welcome(settings, port, state / "logs"))
                for plan in plans:
                    notes = " ".join((f"Serving {plan.files.name}.", *plan.notes))
                    console.print(escape(printable(notes)))
                console.print(
                    "Ctrl-C stops everything; running answers have "
                    f"{settings.grace_s} s to finish. Twice stops at once."
                )
            stack.watch(workers.look)
        finally:
            stack.stop()


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """One that systemd does not clean while this process lives: it leaves alone what is
    in a locked folder."""
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        locked = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(locked, fcntl.LOCK_SH)
            yield folder
        finally:
            os.close(locked)


@contextmanager
def _alone(state: Path, port: int) -> Iterator[None]:
    """While this block runs no other `edge up` uses the folder. Raises SetupError."""
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                f"Another `edge up` for port {port} runs, or is starting. Stop it, or "
                f"choose another port: edge up --port {port + 1}."
            ) from None
        yield


def _welcome(settings: Settings, port: int, logs: Path) -> str:
    host = exposure.address(settings.host)
    is_near = host.is_loopback or host.is_unspecified
    name = "localhost" if is_near and host.version == 4 else None
    url = f"http://{name or exposure.in_url(exposure.reached_at(settings.host))}:{port}"
    return (
        f"\n[bold]Open {escape(url)}[/]   API: {escape(url)}/v1   "
        f"Logs: {escape(printable(str(logs)))}\n{exposure.described(settings)}"
    )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """A list to which SIGINT, SIGTERM and SIGHUP are appended while the block runs."""
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

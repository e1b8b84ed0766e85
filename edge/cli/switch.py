"""The command `edge switch`: another model answers from now on, without a gap.

Runs alone as `python -m edge.cli.switch`, for example in the image of the ui.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from edge.cli.errors import clear_errors
from edge.cli.options import Port
from edge.cli.servers import unreachable, url_of
from edge.errors import InvalidRequest, SetupError
from edge.jobs.switching import Switch, Switching
from edge.redis_clients import UNREACHABLE, sync_client
from edge.settings import Settings

LOOK_S = 0.3
PATIENCE_S = 60.0  # with a broker that is away, or an `edge up` that is not there


def switch(
    model: Annotated[
        str | None, typer.Argument(help="A name from `edge models list`.")
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="To the default model before this one.")
    ] = False,
    with_gap: Annotated[
        bool,
        typer.Option(
            "--with-gap",
            help="Where both do not fit into memory: the present model leaves first; "
            "questions wait meanwhile.",
        ),
    ] = False,
    drain: Annotated[
        bool,
        typer.Option(
            "--drain",
            help="Return when the former model has answered what it was asked, so that "
            "its worker can be stopped.",
        ),
    ] = False,
    port: Port = 8080,
) -> None:
    """Make another model the default one; every question is answered meanwhile."""
    with clear_errors():
        if (model is None) != back:
            raise InvalidRequest("Name a model, or give --back.")
        switching = Switching(sync_client(url_of(Settings.load(), port, "broker")))
        try:
            name = model or switching.before()
            latest = switching.switch_to(name, with_gap=with_gap)
        except UNREACHABLE as error:
            raise unreachable("broker", error) from None
        _follow(switching, latest)
        if drain:
            _drain(switching)


def _follow(switching: Switching, latest: Switch) -> None:
    """Shows each step until the switch is over. Raises SetupError when it fails."""
    shown, answered = "", time.monotonic()
    while True:
        if latest.message and latest.message != shown:
            shown = latest.message
            sys.stderr.write(f"{latest.model}: {shown}\n")
        if latest.state == "failed":
            sys.exit(1)
        if latest.is_over:
            return
        time.sleep(LOOK_S)
        try:
            found, is_supervised = switching.latest(), switching.is_supervised()
            if found is None and is_supervised:
                raise SetupError(
                    "The `edge up` that loads the model was started again. Switch "
                    "again."
                )
            if found is not None and is_supervised:
                latest, answered = found, time.monotonic()
        except UNREACHABLE:
            pass
        if time.monotonic() - answered > PATIENCE_S:
            raise SetupError(
                "The `edge up` that loads the model is gone, or its broker cannot be "
                "reached. Look at it, and switch again."
            )


def _drain(switching: Switching) -> None:
    """Returns when the former default model has nothing to do; it gets nothing new."""
    former, is_drained, answered = "", False, time.monotonic()
    while not is_drained:
        time.sleep(LOOK_S)
        try:
            former = former or switching.before()  # somebody may switch meanwhile
            is_drained = switching.drain(former)
            answered = time.monotonic()
        except UNREACHABLE as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise unreachable("broker", error) from None
    sys.stderr.write(f"{former}: it has answered all, and its worker can be stopped.\n")


if __name__ == "__main__":
    typer.run(switch)

"""The command `edge up`: the whole service on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from edge.cli.errors import clear_errors
from edge.cli.options import Mmproj, Port, settings_for
from edge.up import service


def up(
    model: Annotated[
        list[str] | None,
        typer.Option(help="As for `edge ask`; repeat it to serve several models."),
    ] = None,
    mmproj: Mmproj = None,
    port: Port = 8080,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 0.0.0.0 = all.")
    ] = None,
    open_: Annotated[
        bool | None, typer.Option("--open", help="Let others in without a key.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="For root: the account to change to.")
    ] = None,
    no_nginx: Annotated[
        bool, typer.Option("--no-nginx", help="Serve without nginx.")
    ] = False,
    slots: Annotated[
        int | None, typer.Option(min=1, max=4, help="Questions computed at once.")
    ] = None,
) -> None:
    """Start everything: chat and API on one port. Ctrl-C stops it."""
    with clear_errors():
        settings = settings_for(model, mmproj, slots=slots, host=host, open=open_)
        service.up(settings, port, with_nginx=not no_nginx, user=user)

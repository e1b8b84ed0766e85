"""The command `edge`: the front door for people at a terminal."""

from __future__ import annotations

import typer

from edge.cli.ask import ask
from edge.cli.bench import PROGRAM, bench, monitor
from edge.cli.cache import cache_app
from edge.cli.doctor import doctor
from edge.cli.keys import keys_app
from edge.cli.models import models_app
from edge.cli.switch import switch
from edge.cli.up import up

app = typer.Typer(
    help="Ask questions about pictures, on your own CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(ask)
app.command()(switch)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(cache_app, name="cache")
app.command(**PROGRAM)(bench)
app.command(**PROGRAM)(monitor)
app.command()(doctor)

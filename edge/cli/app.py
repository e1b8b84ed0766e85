"""The command `edge`: the front door for people at a terminal."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edge import images
from edge.cli.bench import PROGRAM, bench, monitor
from edge.cli.doctor import doctor
from edge.cli.errors import clear_errors
from edge.cli.keys import keys_app
from edge.cli.models import models_app
from edge.cli.options import Mmproj, Model, Port, settings_with
from edge.engine.ticket import Ticket
from edge.errors import SetupError
from edge.events import Embedded, Failed, Finished, Started, Token
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.request import Message, Request, SamplingParams
from edge.serving.build import build_engine
from edge.serving.plan import make_plan
from edge.up import stack

app = typer.Typer(
    help="Ask questions about pictures, on your own CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.command(**PROGRAM)(bench)
app.command(**PROGRAM)(monitor)
app.command()(doctor)


@app.command()
def up(
    model: Model = None,
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
        settings = settings_with(model, mmproj, slots=slots, host=host, open=open_)
        stack.up(settings, port, with_nginx=not no_nginx, user=user)


@app.command()
def ask(
    picture: Annotated[Path, typer.Argument(help="A JPEG, PNG, WebP or GIF file.")],
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    model: Model = None,
    mmproj: Mmproj = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Answer one question in this process, without a server."""
    with clear_errors():
        settings = settings_with(model, mmproj, slots=1)
        if settings.runtime == "auto":  # OpenVINO loads longer than one answer saves
            given = settings.given | {"runtime"}  # so that a tuning does not undo it
            settings = replace(settings, runtime="llama", given=given)
        if not picture.is_file():
            raise SetupError(f"There is no picture at {picture}.")
        vetted = images.vet(picture.read_bytes(), settings.image_tokens)
        request = Request(
            (Message("user", (vetted.ref, question)),),
            SamplingParams(max_tokens=max_tokens or settings.answer_tokens),
        )
        plan = make_plan(settings, find_model(settings, obtain))
        with closing(build_engine(plan)) as engine:
            _print_answer(engine.submit(request, {vetted.ref.sha256: vetted}))


def _print_answer(ticket: Ticket) -> None:
    """Prints the answer on stdout as it grows, and progress on stderr."""
    while True:
        match ticket.next():
            case Started(n_tokens):
                print(f"[{n_tokens} prompt tokens]", file=sys.stderr)
            case Embedded(n_tokens):
                print(f"[picture read, {n_tokens} tokens]", file=sys.stderr)
            case Token(text):
                print(text, end="", flush=True)
            case Finished(answer):
                times = answer.timings
                print(
                    f"\n[{answer.usage.completion_tokens} tokens, first after "
                    f"{times.ttft_ms / 1000:.1f} s, then {times.tpot_ms:.0f} ms each]",
                    file=sys.stderr,
                )
                return
            case Failed() as failed:
                raise failed.error

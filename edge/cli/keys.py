"""The commands `edge keys`: who may use the service, how much, and what they used.

Runs on its own as `python -m edge.cli.keys`, in the image of the ui for example.
"""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.cli.errors import clear_errors
from edge.errors import SetupError
from edge.jobs.ledger import COUNTS, Ledger, Usage
from edge.keys import create_key, read_keys, revoke_key
from edge.limits import KNOWN, Limits
from edge.redis_clients import UNREACHABLE, async_client
from edge.settings import Settings

keys_app = typer.Typer(
    help="Say who may use the service, and how much.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A name, or the id that `list` shows.")]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    limits: Annotated[
        str, typer.Option(help=f'"jobs=2, requests/minute=60"; known: {KNOWN}.')
    ] = "",
    admin: Annotated[
        bool, typer.Option("--admin", help="May see and change what concerns all.")
    ] = False,
) -> None:
    """Make a key. It is shown once; from then on only its hash is kept."""
    with clear_errors():
        path = Settings.load().keys_path
        is_first = not read_keys(path)
        key = create_key(path, name, Limits.read(limits), is_admin=admin)
        print(key)
        _say(f"This key of {name} is not shown again.")
        if is_first:
            _say("From now on the service lets in nobody without a key.")


@keys_app.command("list")
def list_() -> None:
    """Show all keys, without the keys themselves."""
    with clear_errors():
        keys = read_keys(Settings.load().keys_path)
        if not keys:
            _say("There are no keys: nobody needs one. Make one: edge keys create NAME")
            return
        table = Table("name", "id", "created", "state", "limits", box=None)
        for key in keys:
            state = "revoked" if key.revoked else "admin" if key.is_admin else "valid"
            created = time.strftime("%Y-%m-%d", time.gmtime(key.created))
            table.add_row(key.name, key.id, created, state, str(key.limits))
        Console().print(table)


@keys_app.command()
def revoke(name: Name) -> None:
    """Make a key invalid, within a second and for ever."""
    with clear_errors():
        revoke_key(Settings.load().keys_path, name)
        _say(f"The key of {name} is not valid any more.")


@keys_app.command()
def usage(
    days: Annotated[int, typer.Option(min=1, max=400)] = 31,
    as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False,
    port: Annotated[int, typer.Option(help="Which `edge up`, by its port.")] = 8080,
) -> None:
    """Show what each key has used, by day (UTC) and model."""
    with clear_errors():
        settings = Settings.load()
        names = {key.id: key.name for key in read_keys(settings.keys_path)}
        url = settings.broker_url or _broker_of(settings, port)
        found = asyncio.run(_usage(url, days))
        header = ["day", "key", "model", *COUNTS]
        table = [
            [row.day, names.get(row.tenant, row.tenant), row.model]
            + [str(getattr(row, count)) for count in COUNTS]
            for row in found
        ]
        if as_csv:
            csv.writer(sys.stdout).writerows([header, *table])
            return
        shown = Table(*header, box=None)
        for cells in table:
            shown.add_row(*cells)
        Console().print(shown)


def broker_file(settings: Settings, port: int) -> Path:
    """Where `edge up` writes the address of its broker, for its own account only."""
    return settings.data_dir / "state" / str(port) / "broker" / "url"


def _broker_of(settings: Settings, port: int) -> str:
    try:
        return broker_file(settings, port).read_text().strip()
    except OSError:
        raise SetupError(
            f"No `edge up` of yours runs on port {port}. Name its port with --port, or "
            "set EDGE_BROKER_URL."
        ) from None


async def _usage(url: str, days: int) -> list[Usage]:
    broker = async_client(url)
    try:
        return await Ledger(broker).usage(days)
    except UNREACHABLE as error:
        raise SetupError(f"The broker cannot be asked: {error}.") from None
    finally:
        await broker.aclose()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    keys_app()

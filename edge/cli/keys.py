"""The commands `edge keys`: API keys, their limits and their usage.

Runs alone as `python -m edge.cli.keys`, for example in the image of the ui.
"""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.cli.errors import clear_errors
from edge.cli.servers import unreachable, url_of
from edge.exposure import asks_for_keys
from edge.jobs.ledger import COUNTS, Ledger, Usage
from edge.keys import create_key, read_keys, revoke_key
from edge.limits import KNOWN, Limits
from edge.redis_clients import UNREACHABLE, async_client
from edge.settings import Settings

keys_app = typer.Typer(
    help="Manage API keys, their limits and their usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A name or an id from `list`.")]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who uses the key.")],
    limits: Annotated[
        str, typer.Option(help=f'"jobs=2, requests/minute=60"; known: {KNOWN}.')
    ] = "",
    admin: Annotated[
        bool, typer.Option("--admin", help="May see and change what concerns all.")
    ] = False,
) -> None:
    """Create a key. It is shown once; only its hash is stored."""
    with clear_errors():
        path = Settings.load().keys_path
        is_first = not read_keys(path)
        key = create_key(path, name, Limits.read(limits), is_admin=admin)
        sys.stdout.write(f"{key}\n")
        _say(f"This key of {name} is not shown again.")
        if is_first:
            _say("From now on the service needs a key.")


@keys_app.command("list")
def list_() -> None:
    """Show names, ids and limits of all keys."""
    with clear_errors():
        settings = Settings.load()
        keys = read_keys(settings.keys_path)
        if not keys:
            are_needed = "one" if asks_for_keys(settings) else "none"
            _say(
                f"There are no keys, and {are_needed} is needed. Create: edge keys "
                "create NAME"
            )
            return
        table = Table("name", "id", "created", "state", "limits", box=None)
        for key in keys:
            state = "revoked" if key.revoked else "admin" if key.is_admin else "valid"
            created = time.strftime("%Y-%m-%d", time.gmtime(key.created))
            table.add_row(key.name, key.id, created, state, str(key.limits))
        Console().print(table)


@keys_app.command()
def revoke(name: Name) -> None:
    """Make a key invalid for ever, within a second."""
    with clear_errors():
        revoke_key(Settings.load().keys_path, name)
        _say(f"The key of {name} is no longer valid.")


@keys_app.command()
def usage(
    days: Annotated[int, typer.Option(min=1, max=400)] = 31,
    as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False,
    port: Annotated[int, typer.Option(help="Port of the `edge up` to ask.")] = 8080,
) -> None:
    """Show the usage of each key, by day (UTC) and model."""
    with clear_errors():
        settings = Settings.load()
        names = {key.id: key.name for key in read_keys(settings.keys_path)}
        url = url_of(settings, port, "broker")
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
        # A column for each count would need 120 characters.
        for cells in table:
            head, counts = cells[:3], zip(COUNTS, cells[3:], strict=True)
            told = [f"{n} {count.replace('_', ' ')}" for count, n in counts if n != "0"]
            Console(highlight=False).print("  ".join(head), f"\n  {', '.join(told)}")


async def _usage(url: str, days: int) -> list[Usage]:
    broker = async_client(url)
    try:
        return await Ledger(broker).usage(days)
    except UNREACHABLE as error:
        raise unreachable("broker", error) from None
    finally:
        await broker.aclose()


def _say(text: str) -> None:
    # Unbuffered, print() writes the end of a line separately: a container mixes both
    # streams, and could put this text directly behind the key.
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    keys_app()

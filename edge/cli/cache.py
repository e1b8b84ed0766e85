"""The commands `edge cache`: what the caches hold and save, and how to empty them.

Runs alone as `python -m edge.cli.cache`, for example in the image of the ui.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from edge.cli.errors import clear_errors
from edge.cli.servers import Server, unreachable, url_of
from edge.jobs.cache_contents import Contents, Kind, clear, measure
from edge.jobs.ledger import COUNTS, Ledger
from edge.redis_clients import UNREACHABLE, AsyncRedis, async_client
from edge.settings import Settings

WITHIN_S: Final = 10.0  # a full cache has a quarter of a million answers at most

cache_app = typer.Typer(
    help="Show and clear the caches of a running service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

T = TypeVar("T")


class What(StrEnum):
    ALL = "all"
    ANSWERS = "answers"
    PICTURES = "pictures"


CLEARED: Final[dict[What, tuple[Kind, ...]]] = {
    What.ALL: ("answers", "pictures"),
    What.ANSWERS: ("answers",),
    What.PICTURES: ("pictures",),
}

# Name, kind in the cache server, and the counts of the ledger that give the hit rate
ROWS: Final[tuple[tuple[str, Kind | None, str, str], ...]] = (
    ("answers", "answers", "cached", "requests"),
    ("prefixes", None, "cached_tokens", "prompt_tokens"),
    ("pictures", None, "memory_image_tokens", "image_tokens"),
    ("pictures", "pictures", "stored_image_tokens", "image_tokens"),
    ("responses", "responses", "", ""),
)

Port = Annotated[int, typer.Option(help="Port of the `edge up` to ask.")]


@cache_app.command()
def stats(
    port: Port = 8080,
    days: Annotated[int, typer.Option(min=1, max=400, help="Of the hit rates.")] = 1,
) -> None:
    """Show what each cache holds, and its hit rate today (UTC)."""
    with clear_errors():
        settings = Settings.load()
        held = _ask(settings, port, "cache", partial(measure, within_s=WITHIN_S))
        used = _ask(settings, port, "broker", partial(_used, days=days))
        console.print(_table(held, used))


@cache_app.command("clear")
def clear_(
    what: Annotated[What, typer.Argument(help="Which cache.")] = What.ALL,
    port: Port = 8080,
) -> None:
    """Delete cached answers and embeddings of pictures, while it serves.

    Stored responses stay. A worker keeps the prefixes and embeddings in its own memory
    until it restarts.
    """
    with clear_errors():
        settings = Settings.load()
        for kind in CLEARED[what]:
            n = _ask(settings, port, "cache", partial(clear, kind=kind))
            console.print(f"{kind}: {n:,} deleted")


def _ask(
    settings: Settings,
    port: int,
    server: Server,
    work: Callable[[AsyncRedis], Awaitable[T]],
) -> T:
    """Raises SetupError when the server cannot be reached."""

    async def ask() -> T:
        client = async_client(url_of(settings, port, server))
        try:
            return await work(client)
        except UNREACHABLE as error:
            raise unreachable(server, error) from None
        finally:
            await client.aclose()

    return asyncio.run(ask())


async def _used(broker: AsyncRedis, days: int) -> Counter[str]:
    """The sums of all tenants and models by count."""
    sums: Counter[str] = Counter()
    for row in await Ledger(broker).usage(days):
        sums.update({count: getattr(row, count) for count in COUNTS})
    return sums


def _table(held: dict[Kind, Contents], used: Counter[str]) -> Table:
    table = Table("cache", "where", "entries", "size", "hit rate", "of", box=None)
    for name, kind, hits, of in ROWS:
        where, entries, size = "workers", "-", "-"
        if kind:
            where, entries = "cache server", f"{held[kind].n_entries:,}"
            size = decimal(held[kind].n_bytes)
        rate = f"{100 * used[hits] / used[of]:.1f} %" if used[of] else "-"
        total = f"{used[of]:,} {of.replace('_', ' ')}" if of else "-"
        table.add_row(name, where, entries, size, rate, total)
    return table


if __name__ == "__main__":
    cache_app()

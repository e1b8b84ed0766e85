"""The commands `edge models`: list, download, verify, make and delete models.

Results go to stdout for programs, messages to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from edge.cli.errors import clear_errors
from edge.errors import SetupError
from edge.gguf.published_vocabulary import read_vocabulary
from edge.gguf.synthetic import N_TOKENS, write_synthetic
from edge.gguf.vocabulary import Vocabulary
from edge.models import store
from edge.models.qwen3_tokenizer import QWEN3, fetch
from edge.models.registry import (
    SYNTHETIC,
    SYNTHETIC_FILES,
    TINY,
    TINY_QUANTS,
    Entry,
    ModelFiles,
    entries,
    find_model,
    local_names,
    models_folder,
    synthetic_files,
    tiny_files,
    tiny_quant_files,
    write_tiny_quant,
)
from edge.progress import show_progress
from edge.settings import Settings
from edge.settings_text import expand_home

models_app = typer.Typer(
    help="List, download, verify and delete models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A name from `edge models list`.")]


@models_app.command("list")
def list_() -> None:
    """Show all models with a name, and which are present."""
    with clear_errors():
        folder = models_folder(Settings.load())
        table = Table("model", "size", "state", "licence", box=None)
        table.add_row(TINY, _text(_bytes(tiny_files)), "bundled", "Apache-2.0")
        for entry in entries().values():
            size = sum(file.size or 0 for file in entry.files)
            table.add_row(entry.name, _text(size), _state(entry, folder), entry.licence)
        made = {name: partial(tiny_quant_files, name, folder) for name in TINY_QUANTS}
        made[SYNTHETIC] = partial(synthetic_files, folder)
        for name, find in made.items():
            size = _bytes(find)
            there = "present" if size else "not here"
            table.add_row(name, _text(size), there, "Apache-2.0")
        Console().print(table)


@models_app.command()
def pull(
    name: Name,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Even without a known hash.")
    ] = False,
) -> None:
    """Download a model, or the missing part of it."""
    with clear_errors():
        settings, entry = Settings.load(), _entry(name)
        folder = models_folder(settings)
        with show_progress(name) as progress:
            store.pull(
                entry,
                folder,
                store.endpoints_of(settings),
                allow_unverified=allow_unverified,
                progress=progress,
            )
        print(f"{name} is in {folder}.", file=sys.stderr)


@models_app.command()
def verify(name: Annotated[str | None, typer.Argument()] = None) -> None:
    """Compare the files of a model, or of all present ones, with their hashes."""
    with clear_errors():
        folder = models_folder(Settings.load())
        chosen = [_entry(name)] if name else _here(folder)
        bad = []
        for entry in chosen:
            states = store.verify(entry, folder)
            for file, state in states.items():
                print(f"{state:10} {folder / file}")
            if not {"missing", "wrong"}.isdisjoint(states.values()):
                bad.append(entry.name)
        if bad:
            raise SetupError(
                f"Files of {', '.join(bad)} are missing or wrong. Download them again: "
                f"`edge models pull {bad[0]}`."
            )


@models_app.command()
def path(name: Name) -> None:
    """Print the paths of a model: the language model, then the vision file."""
    with clear_errors():
        if name not in local_names():
            _entry(name)
        files = find_model(replace(Settings.load(), model=name))
        print(files.model, files.mmproj, sep="\n")


@models_app.command()
def rm(name: Name) -> None:
    """Delete the files of a model, except those that another present model shares."""
    with clear_errors():
        folder = models_folder(Settings.load())
        if name == SYNTHETIC:
            made = [path for kind in SYNTHETIC_FILES for path in folder.glob(kind)]
            freed = store.delete(made, folder)
        elif name in TINY_QUANTS:
            both = folder / f"{name}.gguf", folder / f"mmproj-{name}.gguf"
            freed = store.delete(both, folder)
        else:
            freed = store.remove(_entry(name), folder, entries().values())
        print(f"{decimal(freed)} freed.", file=sys.stderr)


@models_app.command()
def make(
    name: Annotated[
        str, typer.Argument(help=f"{SYNTHETIC}, {', '.join(TINY_QUANTS)}.")
    ],
    quant: Annotated[str, typer.Option(help="Of the language model.")] = "Q4_K_M",
    mmproj: Annotated[str, typer.Option(help="Of the vision file.")] = "Q8_0",
    vocabulary: Annotated[
        str,
        typer.Option(
            metavar="qwen3|PATH",
            help="The published one, fetched by npm, or a tokenizer.json; else words "
            "are invented.",
        ),
    ] = "",
) -> None:
    """Write a model with random weights of true size, or `tiny` in another type.

    The options are for the one with random weights, which measures speed.
    """
    with clear_errors():
        folder = models_folder(Settings.load())
        if name in TINY_QUANTS:
            files = write_tiny_quant(name, folder)
            print(files.model, files.mmproj, sep="\n")
            return
        if name != SYNTHETIC:
            raise SetupError(
                f"{name} cannot be made here, only {SYNTHETIC} and "
                f"{', '.join(TINY_QUANTS)}. Published models are downloaded: "
                "`edge models pull NAME`."
            )
        words = _vocabulary(vocabulary, folder) if vocabulary else None
        with show_progress(name) as progress:
            written = write_synthetic(
                folder, quant=quant, mmproj=mmproj, words=words, progress=progress
            )
        print(*written, sep="\n")


def _vocabulary(name: str, folder: Path) -> Vocabulary:
    path = expand_home(name)
    if name == QWEN3:
        path = fetch(folder) / "tokenizer.json"
    return read_vocabulary(path, N_TOKENS)


def _entry(name: str) -> Entry:
    """The entry of a name. Raises SetupError that says what to do if there is none."""
    if entry := entries().get(name):
        return entry
    if name == TINY:
        raise SetupError(f"{TINY} is part of this program and always present.")
    if name in local_names():
        raise SetupError(f"{name} is made on this machine: `edge models make {name}`.")
    known = ", ".join([TINY, *entries(), *local_names()[1:]])
    raise SetupError(f"There is no model {name!r}. Known: {known}.")


def _here(folder: Path) -> list[Entry]:
    return [entry for entry in entries().values() if store.is_here(entry, folder)]


def _state(entry: Entry, folder: Path) -> str:
    if entry.is_complete(folder):
        return "present"
    if not store.is_here(entry, folder):
        return "not here"
    if any(store.has_wrong_size(file, folder) for file in entry.files):
        return "damaged"
    there = sum(store.bytes_there(file, folder) for file in entry.files)
    total = sum(file.size or 0 for file in entry.files)
    return f"partial {100 * there // total} %" if total else "partial"


def _bytes(find: Callable[[], ModelFiles]) -> int:
    """Size of both files together; 0 when they are missing."""
    try:
        files = find()
    except SetupError:
        return 0
    return files.model.stat().st_size + files.mmproj.stat().st_size


def _text(size: int) -> str:
    return decimal(size) if size else "?"

"""`python -m benchmarks.peers`: measures Edge-VL and other servers on this machine."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.fingerprint import fingerprint
from benchmarks.load.target import Target, remove_state, running, started
from benchmarks.peers.measuring import PARTS, measure_part, version_of, warm_up
from benchmarks.peers.recipes import Machine, Peer, recipes
from benchmarks.peers.results import Result, load_all, path_of
from benchmarks.peers.table import markdown_table
from edge import host
from edge.cli.errors import clear_errors
from edge.errors import SetupError
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.settings import Settings
from edge.up.parts import LOOPBACK, free_port
from edge.up.supervise import Part

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/peers"
POLL_S = 1.0

Out = Annotated[Path, typer.Option(help="Folder of the results.")]


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Folder of the installed servers.")],
    peer: Annotated[
        list[str] | None, typer.Option(help="Name of a server; default: all.")
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(PARTS)}; default: all.")
    ] = None,
    tree: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CHECKOUT of Edge-VL; default: ours=this one."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="Where the one --peer runs already; default: start it.")
    ] = "",
    pid: Annotated[
        int | None, typer.Option(help="Process at --url, to watch its memory.")
    ] = None,
    mmproj: Annotated[
        Path | None, typer.Option(help="Vision file of llama-server, if another.")
    ] = None,
    out: Out = RESULTS,
) -> None:
    """Measure servers one after another, with the model of EDGE_MODEL."""
    with clear_errors():
        trees = dict(map(_parse_tree, tree or [f"ours={ROOT}"]))
        parts = _check_parts(part)
        settings = Settings.load()
        files = find_model(settings, obtain)
        machine = Machine(
            folder=folder.absolute(),
            model=files.model,
            mmproj=mmproj or files.mmproj,
            n_threads=host.usable_cores(),
            port=free_port(),
        )
        chosen = _choose(recipes(machine, trees), peer)
        if url and len(chosen) != 1:
            raise SetupError(
                "Give one --peer with --url: the name of the server there."
            )
        for one in chosen:
            if one.missing and not url:
                typer.echo(f"{one.name}: {one.missing}")
                continue
            if url:
                _measure(one, running(url, pid), parts, out)
                continue
            with _serving(one, settings, machine.port) as target:
                _measure(one, target, parts, out)
        typer.echo(markdown_table(load_all(out)))


@app.command()
def table(out: Out = RESULTS) -> None:
    """Print the table of all results."""
    with clear_errors():
        typer.echo(markdown_table(load_all(out)))


def _measure(peer: Peer, target: Target, parts: Sequence[str], out: Path) -> None:
    """Adds `parts` to the file of `peer`, each as soon as it is measured."""
    path = path_of(out, peer.name)
    known = Result.load(path).parts if path.exists() else {}
    result = Result(
        peer=peer.name,
        version=version_of(peer),
        fingerprint=fingerprint({"command": peer.command, "environment": peer.env}),
        parts=known,
    )
    warm_up(target)
    for name in parts:
        typer.echo(f"{peer.name}: {name}")
        result.parts[name] = measure_part(name, target)
        result.save(out)


@contextmanager
def _serving(peer: Peer, settings: Settings, port: int) -> Iterator[Target]:
    """A new server while the block runs."""
    url = f"http://{LOOPBACK}:{port}"
    with tempfile.TemporaryDirectory(prefix="edge-peers-") as scratch:
        server = Part(
            name=peer.name,
            command=list(peer.command),
            is_ready=lambda: _answers(url + peer.ready),
            env={**settings.environ(), **peer.env},
            folder=Path(scratch),
            start_s=peer.start_s,
            stop_s=60,
        )
        try:
            with started(server, Path(scratch, "log")) as pid:
                yield Target(url, pid)
        finally:
            remove_state(settings, port)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=POLL_S) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _choose(peers: Sequence[Peer], names: Sequence[str] | None) -> list[Peer]:
    """Raises SetupError for an unknown name."""
    known = [peer.name for peer in peers]
    for name in names or ():
        if name not in known:
            raise SetupError(f"{name!r} is not a peer. Choose from: {_list(known)}.")
    return [peer for peer in peers if not names or peer.name in names]


def _check_parts(names: Sequence[str] | None) -> Sequence[str]:
    """Raises SetupError for an unknown part."""
    for name in names or ():
        if name not in PARTS:
            raise SetupError(f"{name!r} is not a part. Choose from: {_list(PARTS)}.")
    return names or PARTS


def _parse_tree(text: str) -> tuple[str, Path]:
    """Raises SetupError unless `text` is NAME=FOLDER."""
    name, _, folder = text.partition("=")
    if not (name and folder and Path(folder, "edge").is_dir()):
        raise SetupError(f"{text!r} names no checkout of Edge-VL. Write before=FOLDER.")
    return name, Path(folder).absolute()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.peers")

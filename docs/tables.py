"""The tables of docs/reference.md, each rendered as Markdown from the code."""

import ast
import re
import runpy
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from edge.engine.scheduler import Load
from edge.errors import EdgeError, SetupError
from edge.jobs.demand import Demand
from edge.settings import DATA_DIR, PREFIX, Settings, in_words
from edge.settings_text import allowed
from ui.metrics import Metrics as UiMetrics
from ui.scrape import Sight
from ui.surface import KIB, MIB, SURFACE
from worker.metrics import EngineLoad
from worker.metrics import Metrics as WorkerMetrics

ROOT = Path(__file__).parents[1]
MAX_FILES = 3  # in a cell; more are shown as their folders
SIZES = {MIB: "MiB", KIB: "KiB"}


def settings() -> str:
    rows = []
    for field in Settings.table():
        default = (
            "~/.local/share/edge-vl" if field.default == DATA_DIR else field.default
        )
        rows.append(
            (
                code(PREFIX + field.name.upper()),
                code(in_words(default)),
                allowed(field).removeprefix("from ").removeprefix("one of "),
                field.metadata["meaning"],
            )
        )
    return table(("setting", "default", "allowed", "meaning"), rows)


def errors() -> str:
    files = files_that_make_errors()
    reasons, made_in = {}, defaultdict(set)
    for kind in tree(EdgeError):
        if kind is not SetupError:  # never sent
            reasons[kind.status, kind.code] = reason(kind)
            made_in[kind.status, kind.code] = files[kind.__name__] | files[kind.code]
    refusals = runpy.run_path(str(ROOT / "nginx" / "refusals.py"))["REFUSALS"]
    for name, (_, error_code, message) in refusals.items():
        row = name if isinstance(name, int) else HTTPStatus.FORBIDDEN, error_code
        reasons.setdefault(row, message)
        made_in[row].add("nginx/refusals.py")
    return table(
        ("status", "code", "when", "made in"),
        [
            (str(row[0]), code(row[1]), reasons[row], places(made_in[row]))
            for row in sorted(reasons)
        ],
    )


def routes() -> str:
    return table(
        ("method", "path", "largest body", "what it does"),
        [(", ".join(r.methods), code(r.path), size(r.body), r.about) for r in SURFACE],
    )


def metrics_of_ui() -> str:
    metrics = UiMetrics(by_key=True)
    # Without a sample Prometheus shows no labels.
    metrics.requests_of_key.labels("", "")
    metrics.tokens_of_key.labels("", "")
    demand = Demand(n_running=1, n_waiting=1, oldest_waiting_s=1.0)
    metrics.registry.register(Sight(workers=[], demand=demand, cache_bytes=1))
    return metrics_in(metrics.registry)


def metrics_of_worker() -> str:
    metrics = WorkerMetrics()
    load = Load(**{field.name: 0 for field in fields(Load)})
    metrics.registry.register(EngineLoad(SimpleNamespace(load=load)))
    return metrics_in(metrics.registry)


def keys() -> str:
    if not find_spec("edge.jobs.keys"):  # until the table of keys is merged
        return ""
    rows = import_module("edge.jobs.keys").table()
    return table(
        ("key", "type", "content", "lifetime", "written by"),
        [
            (code(row.pattern), row.type, row.fields, row.lifetime, row.writer)
            for row in rows
        ],
    )


def metrics_in(registry: CollectorRegistry) -> str:
    rows = []
    for metric in registry.collect():
        if metric.name.startswith("process_"):
            continue
        suffix = "_total" if metric.type == "counter" else ""
        labels = {label for sample in metric.samples for label in sample.labels}
        rows.append(
            (
                code(metric.name + suffix),
                metric.type,
                ", ".join(sorted(labels - {"le"})),
                metric.documentation,
            )
        )
    return table(("metric", "type", "labels", "meaning"), rows)


def tree(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def reason(kind: type[EdgeError]) -> str:
    """The docstring "Raised when X." as "X."."""
    text = " ".join((kind.__doc__ or "").split()).removeprefix("Raised when ")
    return text[:1].upper() + text[1:]


def files_that_make_errors() -> dict[str, set[str]]:
    """Files by the error that they make: Python by its class, Lua by its code."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in ("edge", "ui", "worker"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for name in chosen_names(node):
                    found[name].add(str(path.relative_to(ROOT)))
    for path in (ROOT / "edge/jobs/lua").glob("*.lua"):
        for literal in re.findall(r"'([a-z_]+)'", path.read_text()):
            found[literal].add(str(path.relative_to(ROOT)))
    return found


def chosen_names(node: ast.AST) -> list[str]:
    """Names that a node calls, or chooses between as `A if ... else B` or in a dict."""
    match node:
        case ast.Call(func=func):
            chosen = [func]
        case ast.IfExp(body=body, orelse=orelse):
            chosen = [body, orelse]
        case ast.Dict(values=values):
            chosen = values
        case _:
            chosen = []
    return [part.id for part in chosen if isinstance(part, ast.Name)]


def places(files: Iterable[str]) -> str:
    found = sorted(files)
    if len(found) > MAX_FILES:
        found = sorted({str(Path(file).parent) for file in found})
    return ", ".join(map(code, found))


def size(n_bytes: int) -> str:
    """The largest unit of which it is a whole number."""
    for unit, name in SIZES.items():
        if n_bytes and n_bytes % unit == 0:
            return f"{n_bytes // unit:,} {name}"
    return ""


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


TABLES = {
    "settings": settings,
    "errors": errors,
    "routes": routes,
    "metrics of the web process": metrics_of_ui,
    "metrics of a worker": metrics_of_worker,
    "redis keys": keys,
}

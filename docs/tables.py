"""The tables of docs/reference.md, each rendered as Markdown from the code."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

from error_table import errors  # beside this script
from markdown_table import code, table
from prometheus_client import CollectorRegistry

from edge.engine.scheduler import Load
from edge.jobs.cache_contents import Contents
from edge.jobs.demand import Demand
from edge.jobs.keys import table as key_table
from edge.settings import PREFIX, Settings
from edge.settings_text import allowed, in_words
from edge.up.symptoms import TABLE as SYMPTOMS
from ui.metrics import Metrics as UiMetrics
from ui.scrape import RedisState
from ui.surface import KIB, MIB, SURFACE
from worker.cache_metrics import Caches
from worker.metrics import EngineLoad
from worker.metrics import Metrics as WorkerMetrics

SIZES = {MIB: "MiB", KIB: "KiB"}


def settings() -> str:
    rows = []
    for field in Settings.table():
        default = in_words(field.default).replace(str(Path.home()), "~")
        rows.append(
            (
                code(PREFIX + field.name.upper()),
                code(default),
                allowed(field).removeprefix("from ").removeprefix("one of "),
                field.metadata["meaning"],
            )
        )
    return table(("setting", "default", "allowed", "meaning"), rows)


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
    metrics.registry.register(RedisState([], demand, 1, {"answers": Contents(1, 1)}))
    return metrics_in(metrics.registry)


def metrics_of_worker() -> str:
    metrics = WorkerMetrics()
    load = Load(**{field.name: 1 for field in fields(Load)})
    engine = SimpleNamespace(load=load, encoder=SimpleNamespace(cached_bytes=1))
    store = SimpleNamespace(results={"hit": 1})
    metrics.registry.register(EngineLoad(engine))
    metrics.registry.register(Caches(engine, 1, store))
    return metrics_in(metrics.registry)


def keys() -> str:
    rows = key_table()
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


def size(n_bytes: int) -> str:
    """The largest unit of which it is a whole number."""
    for unit, name in SIZES.items():
        if n_bytes and n_bytes % unit == 0:
            return f"{n_bytes // unit:,} {name}"
    return ""


def symptoms() -> str:
    rows = [(row.symptom, row.cause, row.remedy) for row in SYMPTOMS]
    return table(("symptom", "cause", "remedy"), rows)


TABLES = {
    "settings": settings,
    "errors": errors,
    "routes": routes,
    "metrics of the web process": metrics_of_ui,
    "metrics of a worker": metrics_of_worker,
    "redis keys": keys,
    "symptoms": symptoms,
}

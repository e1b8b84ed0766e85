"""The laws of docs/architecture.md, read off the imports of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("edge", "worker", "ui", "training", "benchmarks")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

# Who may import a library that only one place should know.
ONE_PLACE = {
    "llama_cpp": ("edge.runtime",),
    "llguidance": ("edge.structured",),
    "openvino": ("edge.openvino", "edge.vision.graph", "edge.language.graph"),
    "psutil": ("edge.host",),
    "redis": ("edge.redis_clients", "edge.jobs", "edge.caches"),
    "celery": ("worker", "ui.client"),
    "fastapi": ("ui",),
    "gradio": ("ui",),
    "prometheus_client": ("ui", "worker"),
    "nginx": (),
    "torch": ("benchmarks.baseline_transformers", "training"),
    "locust": ("benchmarks",),
    "gevent": ("benchmarks",),
    "matplotlib": ("benchmarks", "training"),
    "transformers": ("benchmarks.baseline_transformers", "training"),
    "tokenizers": ("training",),
}

# Who may import whom, by room. The front door may import what it starts.
ROOMS = {
    "edge": set(),  # settings, errors, request, events, host, and edge/images
    "edge.openvino": {"edge", "edge.models"},
    "edge.vision": {"edge", "edge.models", "edge.openvino"},
    "edge.engine": {"edge", "edge.vision"},
    "edge.language": {
        "edge",
        "edge.engine",
        "edge.models",
        "edge.openvino",
        "edge.runtime",
    },
    "edge.runtime": {"edge", "edge.engine", "edge.structured", "edge.vision"},
    "edge.schemas": {"edge"},
    "edge.structured": {"edge"},
    "edge.models": {"edge"},
    "edge.jobs": {"edge"},
    "edge.caches": {"edge"},
    "edge.up": {"edge", "edge.jobs", "edge.models"},
    "edge.cli": {
        "edge",
        "edge.engine",
        "edge.jobs",
        "edge.models",
        "edge.up",
        "worker",
    },
    "ui": {"edge", "edge.jobs", "edge.caches", "edge.schemas"},
    "benchmarks": {"edge", "edge.models", "edge.up", "training"},
    "training": {"edge", "edge.engine", "edge.models", "edge.vision", "worker"},
    "worker": {
        "edge",
        "edge.engine",
        "edge.jobs",
        "edge.language",
        "edge.models",
        "edge.runtime",
        "edge.vision",
    },
}
UP = ("edge.stack", "edge.parts", "edge.supervise", "edge.doctor")
CLI = (
    "edge.cli",
    "edge.cli_bench",
    "edge.cli_doctor",
    "edge.cli_keys",
    "edge.cli_models",
)
PURE = (
    "sequence",
    "slots",
    "batch",
    "scheduler",
    "pace",
    "repetition",
    "detokenizer",
    "prompt",
    "prepare",
)
IMPURE_LIBRARIES = {"threading", "queue", "logging", "time", "asyncio", "os", "socket"}


def imports(module: str) -> Iterator[str]:
    """Full names of what a module imports, at whatever depth."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            assert node.module
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from package import module` or `from module import name`
            yield from (n if n in MODULES else node.module for n in names)


def room(module: str) -> str:
    if module in UP:
        return "edge.up"
    if module in CLI:
        return "edge.cli"
    if belongs(module, ("edge.images",)):  # a word that takes several modules to say
        return "edge"
    parts = module.split(".")
    if parts[0] == "benchmarks":  # its scenarios are Locust files of the same room
        return "benchmarks"
    is_room = len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir()
    return ".".join(parts[:2]) if is_room else parts[0]


def belongs(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_between_rooms_point_one_way(module: str) -> None:
    here = room(module)
    targets = {room(name) for name in imports(module) if name in MODULES}
    assert targets <= ROOMS[here] | {here}


@pytest.mark.parametrize("module", MODULES)
def test_a_library_with_one_importer_has_one(module: str) -> None:
    for name in imports(module):
        library = name.split(".")[0]
        if library in ONE_PLACE:
            assert belongs(module, ONE_PLACE[library]), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_only_settings_reads_the_environment(module: str) -> None:
    text = MODULES[module].read_text()
    assert module == "edge.settings" or "os.environ" not in text
    assert "getenv" not in text


@pytest.mark.parametrize(
    "module",
    [f"edge.engine.{name}" for name in PURE]
    + [name for name in MODULES if belongs(name, ("edge.schemas",))],
)
def test_policy_is_pure(module: str) -> None:
    libraries = {target.split(".")[0] for target in imports(module)}
    assert not libraries & IMPURE_LIBRARIES


@pytest.mark.parametrize("module", MODULES)
def test_every_import_is_at_the_top(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = (node for node in ast.walk(tree) if isinstance(node, kinds))
    inner = (node for function in functions for node in ast.walk(function))
    assert not [n for n in inner if isinstance(n, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_pickled(module: str) -> None:
    assert not {"pickle", "marshal", "shelve", "dill"} & {
        name.split(".")[0] for name in imports(module)
    }


def test_imports_have_no_cycle() -> None:
    graph = {m: {n for n in imports(m) if n in MODULES} - {m} for m in MODULES}
    while graph:
        leaves = {m for m, targets in graph.items() if not targets}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {m: targets - leaves for m, targets in graph.items() if m not in leaves}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_one_idea_long(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


def test_nginx_is_a_folder_and_not_a_package() -> None:
    assert not (ROOT / "nginx" / "__init__.py").exists()

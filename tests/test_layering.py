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

# Imported where they serve: what they need is not always installed.
LOADED_BY_NAME = ("edge.llamacpp.backend", "edge.videos.container")

# Who may import a library that only one place should know.
ONE_PLACE = {
    "_pi_heif": ("edge.images.heif",),
    "av": ("edge.videos.container",),
    "llama_cpp": ("edge.llamacpp",),
    "llguidance": ("edge.structured",),
    "openvino": ("edge.openvino", "benchmarks.peers.genai_server"),
    "tokenizers": ("edge.gguf.tokenizer",),
    "openvino_genai": ("benchmarks.peers.genai_server",),
    "psutil": ("edge.host",),
    "redis": (
        "edge.redis_clients",
        "edge.jobs",
        "ui.answer_cache",
        "ui.responses.store",
    ),
    "celery": ("worker", "ui.client"),
    "fastapi": ("ui",),
    "httpcore": ("ui.picture_fetch",),
    "gradio": ("ui",),
    "prometheus_client": ("ui", "worker"),
    "nginx": (),
    "torch": ("benchmarks.baseline_transformers", "training"),
    "locust": ("benchmarks",),
    "gevent": ("benchmarks",),
    "matplotlib": ("benchmarks", "training"),
    "transformers": ("benchmarks.baseline_transformers", "training"),
}

# What each room may import, of others. A room is a folder, or a module named here.
ROOMS: dict[str, set[str]] = {
    "edge": set(),  # the words: settings, errors, request, events, images, host, ...
    "edge.qwen3vl": {"edge"},
    "edge.videos": {"edge", "edge.qwen3vl"},
    "edge.gguf": {"edge"},
    "edge.schemas": {"edge"},
    "edge.structured": {"edge"},
    "edge.engine": {"edge", "edge.qwen3vl"},
    "edge.sampling": {"edge", "edge.engine", "edge.gguf", "edge.structured"},
    "edge.llamacpp": {
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.qwen3vl",
        "edge.sampling",
    },
    "edge.openvino": {
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.qwen3vl",
        "edge.sampling",
    },
    "edge.stubs": {"edge", "edge.engine", "edge.structured"},
    "edge.models": {"edge", "edge.gguf"},
    "edge.serving": {
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.llamacpp",
        "edge.models",
        "edge.openvino",
    },
    "edge.jobs": {"edge"},
    "edge.up": {"edge", "edge.jobs", "edge.models", "edge.serving"},
    "edge.cli": {
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.jobs",
        "edge.models",
        "edge.qwen3vl",
        "edge.schemas",
        "edge.serving",
        "edge.up",
        "edge.videos",
    },
    "ui": {"edge", "edge.jobs", "edge.qwen3vl", "edge.schemas", "edge.videos"},
    "worker": {"edge", "edge.engine", "edge.jobs", "edge.models", "edge.serving"},
    "benchmarks.record": {"edge"},
    "benchmarks.load": {
        "benchmarks.record",
        "edge",
        "edge.models",
        "edge.serving",
        "edge.up",
    },
    "benchmarks.scenarios": {"benchmarks.load"},
    "benchmarks.report": {"benchmarks.record"},
    "benchmarks.peers": {
        "benchmarks.load",
        "benchmarks.record",
        "benchmarks.report",
        "edge",
        "edge.cli",
        "edge.gguf",
        "edge.models",
        "edge.up",
    },
    "benchmarks.token_costs": {
        "benchmarks.json_extraction",
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.models",
        "edge.schemas",
        "edge.structured",
    },
    "benchmarks.json_extraction": {
        "edge",
        "edge.engine",
        "edge.models",
        "edge.sampling",
        "edge.schemas",
        "edge.serving",
    },
    "benchmarks": {
        "benchmarks.load",
        "benchmarks.record",
        "benchmarks.report",
        "edge",
        "edge.cli",
        "edge.gguf",
    },
    "training": {
        "edge",
        "edge.engine",
        "edge.gguf",
        "edge.models",
        "edge.qwen3vl",
        "edge.serving",
    },
}
PURE = (
    *(
        f"edge.engine.{name}"
        for name in (
            "costs",
            "drafting",
            "earlier_answers",
            "guesser",
            "sequence",
            "slots",
            "step",
            "encode_queue",
            "scheduler",
            "pace",
            "progress",
            "repetition",
            "detokenizer",
            "prepare",
            "verify",
        )
    ),
    "edge.qwen3vl",
    "edge.sampling.chain",
    "edge.sampling.filters",
    "edge.sampling.sampler",
    "edge.schemas",
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
        elif isinstance(node, ast.Constant) and node.value in LOADED_BY_NAME:
            yield node.value


def room(module: str) -> str:
    return max((name for name in ROOMS if belongs(module, (name,))), key=len)


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


@pytest.mark.parametrize("module", [name for name in MODULES if belongs(name, PURE)])
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


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) == "edge.engine"])
def test_the_engine_names_no_backend(module: str) -> None:
    assert "llama" not in MODULES[module].read_text().lower()


def test_rooms_have_no_cycle() -> None:
    graph = dict(ROOMS)
    while graph:
        leaves = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: graph[name] for name in graph.keys() - leaves}


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

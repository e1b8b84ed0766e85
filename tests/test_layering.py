"""The laws of docs/architecture.md, read off the imports of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports(module: str) -> frozenset[str]:
    """Full names of what a module imports, at whatever depth."""
    return frozenset(_imports(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
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


@cache
def room(module: str) -> str:
    return max((name for name in ROOMS if belongs(module, (name,))), key=len)


def belongs(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def test_arrows_between_rooms_point_one_way() -> None:
    wrong = {
        (module, name)
        for module in MODULES
        for name in imports(module) & MODULES.keys()
        if room(name) not in ROOMS[room(module)] | {room(module)}
    }
    assert wrong == set()


def test_a_library_with_one_importer_has_one() -> None:
    wrong = {
        (module, name)
        for module in MODULES
        for name in imports(module)
        if (library := name.split(".")[0]) in ONE_PLACE
        and not belongs(module, ONE_PLACE[library])
    }
    assert wrong == set()


def test_only_settings_reads_the_environment() -> None:
    texts = {module: path.read_text() for module, path in MODULES.items()}
    assert [m for m, text in texts.items() if "os.environ" in text] == ["edge.settings"]
    assert [m for m, text in texts.items() if "getenv" in text] == []


def test_policy_is_pure() -> None:
    pure = [module for module in MODULES if belongs(module, PURE)]
    assert len(pure) > len(PURE)
    assert [m for m in pure if libraries(m) & IMPURE_LIBRARIES] == []


def libraries(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_every_import_is_at_the_top() -> None:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    wrong = {
        (module, inner.lineno)
        for module in MODULES
        for function in ast.walk(tree(module))
        if isinstance(function, kinds)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    assert wrong == set()


def test_nothing_is_pickled() -> None:
    picklers = {"pickle", "marshal", "shelve", "dill"}
    assert [module for module in MODULES if libraries(module) & picklers] == []


def test_the_engine_names_no_backend() -> None:
    engine = [module for module in MODULES if room(module) == "edge.engine"]
    assert engine
    assert [m for m in engine if "llama" in MODULES[m].read_text().lower()] == []


def test_rooms_have_no_cycle() -> None:
    graph = dict(ROOMS)
    while graph:
        leaves = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: graph[name] for name in graph.keys() - leaves}


def test_imports_have_no_cycle() -> None:
    graph = {m: (imports(m) & MODULES.keys()) - {m} for m in MODULES}
    while graph:
        leaves = {m for m, targets in graph.items() if not targets}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {m: targets - leaves for m, targets in graph.items() if m not in leaves}


def test_a_module_is_one_idea_long() -> None:
    lines = {m: len(path.read_text().splitlines()) for m, path in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > 300} == {}


def test_nginx_is_a_folder_and_not_a_package() -> None:
    assert not (ROOT / "nginx" / "__init__.py").exists()

"""How each server is started: its command line, when it is ready, what it needs.

The flags are the fastest that were found on a machine with 2 cores; what was tried is
in `benchmarks/results/README.md`. Pure: nothing is started or looked up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SLOTS: Final = 4
CONTEXT_TOKENS: Final = 8192  # in all slots together
# Drafts of 5 tokens after 3 equal ones: the default, 48 after 12, is for long
# repetitions. OpenVINO GenAI gets the same numbers.
NGRAMS: Final = (
    *("--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "3"),
    *("--spec-ngram-simple-size-m", "5"),
)
INSTALL: Final = "sh benchmarks/peers/install.sh"


@dataclass(frozen=True)
class Peer:
    """One server."""

    name: str
    command: tuple[str, ...]
    version: tuple[str, ...]  # a command whose first line of output names the version
    needs: tuple[Path, ...]  # the files that an installation leaves
    install: str  # the command that makes them
    ready: str = "/health"
    env: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 120.0

    @property
    def missing(self) -> str:
        """Why it cannot be measured; "" if it can."""
        if all(path.exists() for path in self.needs):
            return ""
        return f"not installed: {self.install}"


@dataclass(frozen=True)
class Machine:
    """What the command lines depend on."""

    folder: Path  # of the installed peers
    model: Path
    mmproj: Path
    n_threads: int
    port: int


def recipes(machine: Machine, trees: Mapping[str, Path]) -> list[Peer]:
    """All peers. `trees` are checkouts of Edge-VL by the names of their rows."""
    return [
        *(edge(name, tree, machine) for name, tree in trees.items()),
        llama_server("llama-server", machine),
        llama_server("llama-server, --no-repack", machine, "--no-repack"),
        llama_server("llama-server, n-grams", machine, *NGRAMS),
        genai("OpenVINO GenAI", machine),
        genai("OpenVINO GenAI, prompt lookup", machine, "--prompt-lookup"),
        vllm("vLLM-CPU", machine),
    ]


def edge(name: str, tree: Path, machine: Machine) -> Peer:
    """Edge-VL as set up, without its cache of answers."""
    program = tree / ".venv/bin/edge"
    return Peer(
        name=name,
        command=(str(program), "up", "--port", str(machine.port)),
        version=("git", "-C", str(tree), "rev-parse", "--short", "HEAD"),
        needs=(program,),
        install=f"make -C {tree} setup",
        ready="/ready",
        env={"EDGE_ANSWER_CACHE": "off"},
        start_s=660,
    )


def llama_server(name: str, machine: Machine, *flags: str) -> Peer:
    program = machine.folder / "llama/bin/llama-server"
    command = [
        *(str(program), "--port", str(machine.port)),
        *("-m", str(machine.model), "--mmproj", str(machine.mmproj)),
        *("-np", str(SLOTS), "-c", str(CONTEXT_TOKENS), "-t", str(machine.n_threads)),
        *flags,
    ]
    return Peer(
        name=name,
        command=tuple(command),
        version=(str(program), "--version"),
        needs=(program,),
        install=f"{INSTALL} {machine.folder} llama-server",
    )


def genai(name: str, machine: Machine, *flags: str) -> Peer:
    python = machine.folder / "genai/bin/python"
    model = machine.folder / "synthetic-2b-int4"
    server = Path(__file__).with_name("genai_server.py")
    return Peer(
        name=name,
        command=(
            *(str(python), str(server), str(model)),
            *("--port", str(machine.port), *flags),
        ),
        version=_version_of("openvino-genai", python),
        needs=(python, model),
        install=f"{INSTALL} {machine.folder} genai",
        ready="/v1/models",
    )


def vllm(name: str, machine: Machine) -> Peer:
    """bf16: it computes no GGUF vision files, and its int8 needs other packages."""
    python = machine.folder / "vllm/bin/python"
    model = machine.folder / "synthetic-2b"
    # as many image tokens as the others allow
    pixels = '{"size": {"shortest_edge": 65536, "longest_edge": 1048576}}'
    # With random weights, white space in JSON would never end. The default, xgrammar,
    # takes a second for a token of this schema.
    compact = '{"backend": "guidance", "disable_any_whitespace": true}'
    return Peer(
        name=name,
        command=(
            *(str(python.with_name("vllm")), "serve", str(model)),
            *("--port", str(machine.port), "--load-format", "dummy"),
            *("--dtype", "bfloat16", "--max-model-len", "4096"),
            *("--max-num-seqs", str(SLOTS), "--max-num-batched-tokens", "2048"),
            *("--skip-mm-profiling", "--mm-processor-kwargs", pixels),
            *("--structured-outputs-config", compact),
        ),
        version=_version_of("vllm-cpu", python),
        needs=(python, model),
        install=f"{INSTALL} {machine.folder} vllm",
        env={
            "VLLM_CPU_KVCACHE_SPACE": "2",
            "VLLM_CPU_OMP_THREADS_BIND": f"0-{machine.n_threads - 1}",
            "HF_HUB_OFFLINE": "1",
        },
        start_s=600,
    )


def _version_of(package: str, python: Path) -> tuple[str, ...]:
    code = f"from importlib import metadata; print(metadata.version({package!r}))"
    return (str(python), "-c", code)

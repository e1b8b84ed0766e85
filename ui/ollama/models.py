"""What Ollama's API tells of the served models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge.jobs.fleet import WorkerInfo

# Clients compare it: the first version of Ollama that served Qwen3-VL.
VERSION = "0.12.7"
FAMILY = "qwen3vl"
CAPABILITIES = ["completion", "vision", "tools"]
NEVER = "9999-12-31T23:59:59Z"


def tagged(model: str) -> str:
    """The name with a version, as Ollama's clients expect it."""
    return model if ":" in model else f"{model}:latest"


def listed(served: WorkerInfo) -> dict[str, Any]:
    """The entry of a served model. What an older worker does not say is 0 or empty."""
    return {
        "name": tagged(served.model),
        "model": tagged(served.model),
        "modified_at": _modified_at(served),
        "size": served.size_bytes or 0,
        "digest": served.digest,
        "details": _details(served),
    }


def loaded(served: WorkerInfo) -> dict[str, Any]:
    """The entry of a model in memory, where all served models stay."""
    more = {"expires_at": NEVER, "size_vram": 0, "context_length": served.n_cells or 0}
    return listed(served) | more


def shown(served: WorkerInfo) -> dict[str, Any]:
    """What a client may want to know before it asks."""
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(served),
        "model_info": {
            "general.architecture": FAMILY,
            "general.basename": served.model,
            "general.parameter_count": served.n_parameters or 0,
            f"{FAMILY}.context_length": served.n_cells or 0,
        },
        "capabilities": [*CAPABILITIES, *(["thinking"] if served.thinks else [])],
        "modified_at": _modified_at(served),
    }


def _modified_at(served: WorkerInfo) -> str:
    at = datetime.fromtimestamp(served.modified_s or 0, UTC)
    return at.isoformat().replace("+00:00", "Z")


def _details(served: WorkerInfo) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": _short(served.n_parameters),
        "quantization_level": served.quantization,
    }


def _short(n: int | None) -> str:
    """A number of weights as Ollama writes it: `2.1B`, `7.2M`."""
    if not n:
        return ""
    return f"{n / 1e9:.1f}B" if n >= 1e9 else f"{n / 1e6:.1f}M"

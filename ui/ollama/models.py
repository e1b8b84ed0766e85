"""What Ollama's API tells of the served models."""

from __future__ import annotations

import hashlib
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
    """The entry of a served model. The web process does not have the file, so that its
    size is unknown; the digest names the files."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "name": tagged(served.model),
        "model": tagged(served.model),
        "modified_at": now,
        "size": 0,
        "digest": hashlib.sha256(served.fingerprint.encode()).hexdigest(),
        "details": _details(),
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
        "details": _details(),
        "model_info": {
            "general.architecture": FAMILY,
            "general.basename": served.model,
            f"{FAMILY}.context_length": served.n_cells or 0,
        },
        "capabilities": CAPABILITIES,
        "modified_at": listed(served)["modified_at"],
    }


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": "",
        "quantization_level": "",
    }

"""The machine, versions and settings of a run, to judge and repeat its figures.

Names no person and no place: only the file name of a path is kept, and addresses and
secrets are left out.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from edge import host

PACKAGES = ("edge-vl", "llama-cpp-python", "openvino", "numpy", "locust")
SECRET = {"password", "secret", "token", "key"}


def fingerprint(server: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """This machine and its software. `server` describes the server under test: its
    model, the hash of the model, settings."""
    cpu = host.cpu()
    return {
        "cpu": cpu.name,
        "architecture": platform.machine(),
        "cpu_features": list(cpu.features),
        "cores_usable": host.usable_cores(),  # by affinity and the cgroup's quota
        "cores_in_all": os.cpu_count(),
        "memory_usable_bytes": host.usable_memory_bytes(),  # by the cgroup's limit
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name))},
        "server": _public(server or {}),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _public(value: Any) -> Any:
    """`value` as JSON, without private parts; None if it is private as a whole."""
    if isinstance(value, Mapping):
        pairs = {str(key): _public(one) for key, one in value.items()}
        return {k: v for k, v in pairs.items() if v is not None and not _is_secret(k)}
    if isinstance(value, list | tuple | set | frozenset):
        return [kept for one in value if (kept := _public(one)) is not None]
    if isinstance(value, bool | int | float | None):
        return value
    text = str(value)
    if "://" in text or "@" in text:
        return None
    return Path(text).name if Path(text).is_absolute() else text


def _is_secret(name: str) -> bool:
    return not SECRET.isdisjoint(name.lower().replace("-", "_").split("_"))

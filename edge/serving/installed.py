"""What is installed: llama.cpp is optional, OpenVINO serves without it."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from edge.errors import SetupError
from edge.settings import Settings


def has_llama() -> bool:
    """Whether llama.cpp can be imported; this does not import it."""
    return find_spec("llama_cpp") is not None


def installed_version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_installed(settings: Settings) -> None:
    """Raises SetupError when `settings` name llama.cpp and it is not installed."""
    by_name = {
        "EDGE_RUNTIME=llama": settings.runtime == "llama",
        "EDGE_VISION=mtmd": settings.vision == "mtmd",
    }
    asked = " and ".join(name for name, is_set in by_name.items() if is_set)
    if asked and not has_llama():
        raise SetupError(
            f"{asked} needs llama.cpp, which is not installed here. Install it with "
            "`make setup`, or leave the setting out: OpenVINO serves without it."
        )

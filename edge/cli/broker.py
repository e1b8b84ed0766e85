"""Finds the broker of a running service, for commands that look into it."""

from __future__ import annotations

from pathlib import Path

from edge.errors import SetupError
from edge.settings import Settings


def broker_file(settings: Settings, port: int) -> Path:
    """The file in which `edge up` keeps its broker's URL, for its own account only."""
    return settings.data_dir / "state" / str(port) / "broker" / "url"


def broker_url(settings: Settings, port: int) -> str:
    """EDGE_BROKER_URL, else the broker of the `edge up` on `port`. Raises SetupError
    without either."""
    if settings.broker_url:
        return settings.broker_url
    try:
        return broker_file(settings, port).read_text().strip()
    except OSError:
        raise SetupError(
            f"No `edge up` of this account runs on port {port}. Give its port with "
            "--port, or set EDGE_BROKER_URL."
        ) from None

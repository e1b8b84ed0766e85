"""The Redis servers of a running service, for commands that look into them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edge.errors import SetupError
from edge.settings import Settings

Server = Literal["broker", "cache"]


def url_file(settings: Settings, port: int, server: Server) -> Path:
    """The file in which `edge up` keeps a server's URL, for its own account only."""
    return settings.data_dir / "state" / str(port) / server / "url"


def url_of(settings: Settings, port: int, server: Server) -> str:
    """The URL of a server: that of the settings, or of the `edge up` on `port`. Raises
    SetupError when there is none."""
    given = settings.broker_url if server == "broker" else settings.cache_url
    if given:
        return given
    try:
        return url_file(settings, port, server).read_text().strip()
    except OSError:
        raise SetupError(
            f"No `edge up` of this account runs on port {port}. Give its port with "
            f"--port, or set EDGE_{server.upper()}_URL."
        ) from None


def unreachable(server: Server, error: Exception) -> SetupError:
    """What to say of a server that does not answer."""
    why = str(error).rstrip(".")
    return SetupError(
        f"The {server} cannot be reached: {why}. Is the service running? `edge up` "
        "starts it."
    )

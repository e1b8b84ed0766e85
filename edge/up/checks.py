"""What `edge up` looks at before it starts a part, in one list: `edge doctor` reports
from the same list, so that neither promises what the other refuses.
"""

from __future__ import annotations

import errno
import ipaddress
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rich.filesize import decimal

from edge import exposure
from edge.errors import SetupError
from edge.settings import Settings
from edge.up.parts import check_redis, nginx_conf, nginx_server, redis_server
from edge.up.private import make_private

ROOM_BYTES: Final = 64 << 20  # on disk, for the queue and the logs at the start

Level = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was checked, how serious, and what to do."""

    about: str
    level: Level
    message: str


# What `edge up --port PORT` with these settings finds. Raises SetupError where it
# cannot start.
Check = Callable[[Settings, int], Finding]


def check_address(settings: Settings, _port: int) -> Finding:
    """Who can connect, and whether they need a key."""
    exposure.check_exposure(settings)
    exposure.trusted(settings)
    exposure.metrics_readers(settings)
    return Finding("address", "ok", exposure.described(settings))


def check_ports(settings: Settings, port: int) -> Finding:
    check_port(settings.host, port)
    check_metrics_port(settings)
    return Finding("port", "ok", f"{port} is free.")


def check_queue(settings: Settings, _port: int) -> Finding:
    is_own = settings.broker_url and settings.cache_url
    message = "Your Redis servers can be reached." if is_own else redis_server()
    if note := check_redis(settings):
        return Finding("queue", "note", note)
    return Finding("queue", "ok", message)


def check_nginx(settings: Settings, port: int) -> Finding:
    """Its program, and the settings that its configuration is made of."""
    server = nginx_server()
    nginx_conf(settings.host, port, "unix:/tmp/ui.sock", settings, Path("/tmp"))
    return Finding("nginx", "ok", server)


def check_state(settings: Settings, port: int) -> Finding:
    """The folder of files that outlive a stack."""
    return Finding("state", "ok", f"{private_state(settings, port)} can be written.")


CHECKS: Final[dict[str, Check]] = {
    "address": check_address,
    "port": check_ports,
    "queue": check_queue,
    "nginx": check_nginx,
    "state": check_state,
}


def private_state(settings: Settings, port: int) -> Path:
    """The folder of the files that outlive a stack, one per port, closed to others.

    Raises SetupError when it cannot be used or its disk is full.
    """
    everything = settings.data_dir / "state"
    state = everything / str(port)
    try:
        make_private(everything)
        make_private(state / "logs")
        free = shutil.disk_usage(state).free
    except OSError as error:
        raise SetupError(
            f"{error.filename} cannot be used: {error.strerror}. Start as the owner of "
            "that folder, or choose another one with EDGE_DATA_DIR."
        ) from None
    if free < ROOM_BYTES:
        raise SetupError(
            f"{settings.data_dir} has {decimal(free)} free and {decimal(ROOM_BYTES)} "
            "are needed for the queue and the logs. Make room, or choose another "
            "folder with EDGE_DATA_DIR."
        )
    return state


def check_metrics_port(settings: Settings) -> None:
    """Raises SetupError when the first worker cannot serve its metrics."""
    try:
        ipaddress.ip_address(settings.metrics_address)
    except ValueError:  # a name, which the worker looks up
        return
    try:
        if settings.metrics_port:
            check_port(settings.metrics_address, settings.metrics_port)
    except SetupError:
        raise SetupError(
            f"EDGE_METRICS_PORT={settings.metrics_port} cannot be used on "
            f"{settings.metrics_address}. Stop what uses it, or choose another."
        ) from None


def check_port(host: str, port: int) -> None:
    """Raises SetupError when `port` cannot be listened on at `host`."""
    address = exposure.address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(address), port))
        except PermissionError:
            raise SetupError(
                f"Port {port} needs root, and nothing here runs as root. Choose a port "
                "from 1024 on: edge up --port 8080."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise SetupError(
                    f"{host} is not an address of this machine: choose another --host."
                ) from None
            raise SetupError(
                f"Port {port} cannot be used: {error.strerror}. Stop what uses it, or "
                f"choose another: edge up --port {port + 1}."
            ) from None

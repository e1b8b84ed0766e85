"""Which machines can reach the service: only this one, unless there are keys or
`--open`."""

from __future__ import annotations

import ipaddress

from edge.errors import SetupError
from edge.keys import needs_keys, read_keys
from edge.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(host: str) -> Address:
    """The address of `host`. Raises SetupError unless it is an IP address or
    "localhost": another name may lead to another machine tomorrow."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise SetupError(
            f"{host!r} is not an address to listen on. Give 127.0.0.1 (this machine "
            "only), 0.0.0.0 (every IPv4 address of it), or one of its addresses."
        ) from None


def has_keys(settings: Settings) -> bool:
    """Whether there are keys. Raises SetupError for a file that cannot be read."""
    return bool(read_keys(settings.keys_path))


def check_exposure(settings: Settings) -> None:
    """Raises SetupError when other machines could reach a service that needs no key."""
    host = address(settings.host)
    is_private = host.is_loopback and not settings.trust
    if is_private or settings.open or has_keys(settings):
        return
    where = "the proxy that EDGE_TRUST names" if host.is_loopback else str(host)
    raise SetupError(
        f"Anybody who can reach {where} could use this service: there are no keys in "
        f"{settings.keys_path}. Make one with `edge keys create NAME`, or allow "
        "everybody with --open (EDGE_OPEN=on)."
    )


def trusted(settings: Settings) -> list[str]:
    """The networks of EDGE_TRUST. Raises SetupError for invalid ones."""
    return _networks("EDGE_TRUST", settings.trust)


def metrics_readers(settings: Settings) -> list[str]:
    """The networks of EDGE_METRICS_FROM, and this machine at its own address. Raises
    SetupError for invalid ones."""
    found = _networks("EDGE_METRICS_FROM", settings.metrics_from)
    own = ipaddress.ip_network(reached_at(settings.host))
    return found if own.is_loopback else [*found, str(own)]


def _networks(name: str, text: str) -> list[str]:
    named = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return [str(ipaddress.ip_network(one)) for one in named]
    except ValueError as error:
        raise SetupError(
            f"{name}={text!r}: {error}. Write networks like 10.0.0.0/8, with commas "
            "between them."
        ) from None


def described(settings: Settings) -> str:
    """One sentence: which address is open, and whether it asks for keys."""
    host, keys = address(settings.host), settings.keys_path
    where = f"{host} is open"
    if host.is_loopback:
        where = f"Only this machine can reach it ({host})"
    elif host.is_unspecified:
        where = f"Every address of this machine is open ({host})"
    asks = "a key is required" if asks_for_keys(settings) else "no key is required"
    if asks_for_keys(settings) and not has_keys(settings):
        asks += ", and there is none: make one with `edge keys create NAME`"
        if not settings.keys_file:
            asks += f", or remove {keys}.lock to let everybody in"
    return f"{where}; {asks}."


def asks_for_keys(settings: Settings) -> bool:
    """Whether callers need a key: a file of keys was named, or there are keys, or
    there were. Raises SetupError for a file that cannot be read."""
    return bool(settings.keys_file) or needs_keys(settings.keys_path)


def in_url(host: str) -> str:
    """`host` as it is written before a port: an IPv6 address in brackets."""
    found = address(host)
    return f"[{found}]" if found.version == 6 else str(found)


def reached_at(host: str) -> str:
    """An address of this machine at which a listener on `host` answers."""
    found = address(host)
    if found.is_unspecified:
        return "::1" if found.version == 6 else "127.0.0.1"
    return str(found)

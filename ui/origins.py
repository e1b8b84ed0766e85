"""Which pages may send requests here: Host, Origin and Sec-Fetch-Site. Pure.

A browser sends requests for any page that a person has open. Host is the name by which
it found this server: an attacker's name can point here too (DNS rebinding). Origin and
Sec-Fetch-Site name the page. Programs other than browsers send neither.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge.errors import EdgeError, Forbidden, SetupError, UnknownHost

NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,9}")
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Origins:
    """`hosts`: names of this server, in lower case. `cors`: origins of other sites."""

    hosts: frozenset[str] = frozenset()
    cors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, hosts: str, cors: str, own_names: Iterable[str] = ()) -> Origins:
        """From the settings EDGE_HOSTS and EDGE_CORS, two lists with commas, and the
        names of this machine. Raises SetupError."""
        named = frozenset(_items("EDGE_HOSTS", hosts, NAME, "chat.example.org"))
        others = _items("EDGE_CORS", cors, ORIGIN, "https://app.example.org")
        return cls(named | names_of_machine(own_names), frozenset(others))

    def is_known(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = _without_port(host)
        return name in self.hosts or name == "localhost" or _is_address(name)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an Origin is a page of this server, whose Host header was `host`."""
        scheme, _, host_and_port = origin.lower().partition("://")
        if scheme not in ("http", "https") or not host_and_port:
            return False
        return host_and_port == host.lower() or host_and_port in self.hosts

    def refusal(
        self, host: str, origin: str | None, fetch_site: str | None, *, is_link: bool
    ) -> EdgeError | None:
        """The error that refuses a request; None: it may pass. `is_link`: a link on
        another site may lead to it."""
        if not host:
            return UnknownHost("The request names no server. Send a Host header.")
        if not self.is_known(host):
            name = _without_port(host)[:80]
            return UnknownHost(
                f"This server does not know the name {name!r}. Its operator can add it "
                "to EDGE_HOSTS; until then, use its address."
            )
        if origin is not None and origin.lower() in self.cors:
            return None
        if origin is not None and not self.is_own(origin, host):
            return Forbidden(
                f"Pages of {origin[:80]!r} may not call this server. Its operator "
                "can allow that with EDGE_CORS."
            )
        if fetch_site == "cross-site" and not is_link:
            return Forbidden("Pages of other sites may not call this server.")
        return None


def names_of_machine(names: Iterable[str]) -> frozenset[str]:
    """The names of a machine in a local network."""
    own = {name.lower() for name in names if NAME.fullmatch(name.lower())}
    local = {f"{name}.{zone}" for name in own for zone in ("local", "lan")}
    return frozenset(own | {name for name in local if name.count(".") == 1})


def _items(
    setting: str, text: str, pattern: re.Pattern[str], example: str
) -> list[str]:
    found = [item.strip().lower() for item in text.split(",") if item.strip()]
    for item in found:
        if not pattern.fullmatch(item):
            raise SetupError(f"{setting}: {item!r} is not like {example}.")
    return found


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host.lower()).rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return (":" in name) == (name[:1] == "[")

"""The hosts that pictures and videos may be fetched from: EDGE_PICTURE_HOSTS. Pure.

    images.example.org, nas.lan:8000, 192.168.1.0/24

A host is listed by its exact name or address, with a port unless it is the usual one.
A network allows no host: it allows listed names to have private addresses in it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urljoin, urlsplit

from edge.errors import InvalidPicture, SetupError, UrlNotAllowed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Noun = Literal["picture", "video"]

LONGEST_URL = 4000  # characters
PORTS = {"http": 80, "https": 443}
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,9}")
# Addresses that hide an IPv4 address, which may be a private one: NAT64, 6to4, Teredo.
TUNNELS = [
    ipaddress.ip_network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


@dataclass(frozen=True)
class Link:
    """An address on a listed host; `target` is its path and query, in ASCII, and
    `noun` what has to be there."""

    scheme: str
    host: str
    port: int
    target: str
    noun: Noun = "picture"

    @property
    def host_and_port(self) -> str:
        """As in an address and in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_and_port}{self.target}"


class PictureHosts:
    """The list in `text`, the value of the setting. False when it is empty. Raises
    SetupError."""

    def __init__(self, text: str = "") -> None:
        self._hosts: set[tuple[str, int | None]] = set()
        self._networks: list[Network] = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            try:
                self._add(item)
            except ValueError:
                raise SetupError(
                    f"EDGE_PICTURE_HOSTS: {item!r} is not like images.example.org, "
                    "images.example.org:8443, 192.168.1.20 or 192.168.1.0/24."
                ) from None

    def _add(self, item: str) -> None:
        if "/" in item:
            self._networks.append(ipaddress.ip_network(item))
            return
        parts = urlsplit(f"//{item}")
        host = _name(parts.hostname or "")
        if parts.netloc != item or parts.username is not None:
            raise ValueError
        self._hosts.add((host, parts.port))
        if address := _address(host):
            self._networks.append(ipaddress.ip_network(address))

    def __bool__(self) -> bool:
        return bool(self._hosts)

    def link(self, url: str, noun: Noun = "picture") -> Link:
        """The `noun` that `url` leads to. Raises UrlNotAllowed unless its host is
        listed, and InvalidPicture for what is not an address of http or https."""
        url = url.strip()
        try:
            if len(url) > LONGEST_URL or re.search(r"[\x00-\x20\x7f\\]", url):
                raise ValueError
            parts = urlsplit(url)
            host, port = _name(parts.hostname or ""), parts.port
            usual = PORTS[parts.scheme]
        except (ValueError, KeyError):
            raise InvalidPicture(
                f"A {noun}'s address is https://HOST/PATH, of at most "
                f"{LONGEST_URL:,} characters, and this one is not."
            ) from None
        if "@" in parts.netloc:
            raise UrlNotAllowed(f"A {noun}'s address may not hold a name or password.")
        port = usual if port is None else port
        is_listed = (host, port) in self._hosts
        if not is_listed and (port != usual or (host, None) not in self._hosts):
            raise UrlNotAllowed(
                f"{noun.capitalize()}s are not fetched from {host[:100]}, port {port}: "
                "the operator of this server has not listed it in EDGE_PICTURE_HOSTS. "
                f"Send the {noun} itself, base64-encoded."
            )
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~")
        return Link(parts.scheme, host, port, target, noun)

    def redirect(self, link: Link, location: str) -> Link:
        """Where `link` leads on to. Raises as `link` does."""
        try:
            return self.link(urljoin(str(link), location), link.noun)
        except ValueError:
            raise InvalidPicture(
                f"{link.host} led to an address that is none."
            ) from None

    def may_open(self, address: Address) -> bool:
        """Whether a listed host may have this address: a public or a listed one."""
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(_is_in(plain, network) for network in self._networks):
            return True
        hides = any(_is_in(plain, tunnel) for tunnel in TUNNELS)
        return bool(plain.is_global and not plain.is_multicast and not hides)


def is_link(url: str) -> bool:
    """Whether `url` begins like an address of http or https."""
    return url.lstrip()[:8].lower().startswith(("http://", "https://"))


def _name(host: str) -> str:
    """The host in one spelling. Raises ValueError unless it is a name or address."""
    host = host.lower().removesuffix(".")
    if address := _address(host):
        return str(address)
    if not NAME.fullmatch(host):
        raise ValueError
    return host


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network

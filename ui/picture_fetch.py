"""Fetches the pictures and videos that questions name by an address, from listed hosts
only.

    look up the name -> check every address -> connect to a checked one -> read

The connection goes to the very address that was checked, so that a name which changes
meanwhile leads nowhere else. A redirect is a new address, and is checked like the first
one. No cookie, password or proxy is used; nothing is unpacked but by the decoder.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import httpcore

from edge.errors import EdgeError, InvalidPicture, UrlNotAllowed
from ui.in_flight import InFlight
from ui.in_order import in_order
from ui.picture_hosts import Link, Noun, PictureHosts
from ui.question import Linked, SentPicture, SentVideo

FETCH_S = 10.0  # for one: names, redirects and all bytes
AT_ONCE = 4  # of one video's pictures
MOST_BYTES = 24 << 20  # as many as a body can hold in base64
MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
ANY_TYPE = ("application/octet-stream", "binary/octet-stream")
TYPES: dict[Noun, tuple[str, ...]] = {
    "picture": ("image/", *ANY_TYPE),
    "video": ("video/", "application/mp4", "image/", *ANY_TYPE),  # or an animation
}
HEADERS = [
    (b"User-Agent", b"Edge-VL"),
    (b"Accept", b"image/*, video/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
]
Hold = Callable[[int], None]


class PictureFetch:
    """Fetches from `hosts`; the bytes are counted in `in_flight`."""

    def __init__(self, hosts: PictureHosts, in_flight: InFlight) -> None:
        self._hosts = hosts
        self._in_flight = in_flight
        # it trusts the authorities of this machine, which takes 0.1 s to read
        self._tls = ssl.create_default_context() if hosts else None
        # of its own: a name server that hangs must not hold up other work
        self._resolving = ThreadPoolExecutor(4, "resolver")

    @asynccontextmanager
    async def fetched(
        self, linked: Linked, address: str
    ) -> AsyncIterator[SentPicture | SentVideo]:
        """The picture or video, with all that it links to; the bytes count as held for
        `address` until the end of the block.

        Raises UrlNotAllowed when it leads to a host or an address that is not allowed,
        InvalidPicture when it cannot be fetched, Unavailable when too many bytes are
        held.
        """
        with self._in_flight.holding(address) as hold:
            fetch = partial(self._fetch, hold=hold)
            files = await in_order(linked.links, fetch, AT_ONCE)
            # in a thread, because it hashes all bytes
            yield await asyncio.to_thread(lambda: linked.fetched(*files))

    async def _fetch(self, named: tuple[str | None, Link], hold: Hold) -> bytes:
        param, link = named
        try:
            async with asyncio.timeout(FETCH_S):
                return await self._get(link, hold)
        except (TimeoutError, httpcore.TimeoutException):
            why = f"did not come within {FETCH_S:.0f} seconds"
        except (httpcore.NetworkError, httpcore.ProtocolError):
            why = "could not be fetched: no answer"
        except EdgeError as refusal:
            refusal.param = param
            raise
        raise InvalidPicture(
            f"The {link.noun} at {link.host} {why}. Send the {link.noun} itself, "
            "base64-encoded.",
            param=param,
        )

    async def _get(self, link: Link, hold: Hold) -> bytes:
        connections = _Checked(self._hosts, self._resolving)
        async with httpcore.AsyncConnectionPool(
            self._tls, network_backend=connections
        ) as pool:
            for _ in range(1 + MOST_REDIRECTS):
                url = httpcore.URL(
                    scheme=link.scheme,
                    host=link.host,
                    port=link.port,
                    target=link.target,
                )
                headers = [(b"Host", link.host_and_port.encode()), *HEADERS]
                async with pool.stream("GET", url, headers=headers) as response:
                    if response.status not in REDIRECTS:
                        return await _read(response, link, hold)
                    location = _header(response, b"location")
                    link = self._hosts.redirect(link, location)
        raise InvalidPicture(
            f"{link.host} redirects more than {MOST_REDIRECTS} times. Send the "
            f"{link.noun}'s last address."
        )

    def close(self) -> None:
        self._resolving.shutdown(wait=False, cancel_futures=True)


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses only."""

    def __init__(self, hosts: PictureHosts, resolving: ThreadPoolExecutor) -> None:
        self._hosts = hosts
        self._resolving = resolving
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises UrlNotAllowed if one address of the host is not allowed."""
        error: httpcore.NetworkError | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._sockets.connect_tcp(address, port, timeout)
            except httpcore.NetworkError as failure:
                error = failure
        raise error or httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolving, look_up)
        except OSError as failure:
            raise httpcore.ConnectError(str(failure)) from None
        addresses = [str(address[0]).partition("%")[0] for *_, address in found]
        if not all(self._hosts.may_open(ipaddress.ip_address(a)) for a in addresses):
            raise UrlNotAllowed(
                f"{host} has an address in a private network, which the operator of "
                "this server has not listed in EDGE_PICTURE_HOSTS."
            )
        return [*dict.fromkeys(addresses)]


async def _read(response: httpcore.Response, link: Link, hold: Hold) -> bytes:
    """The body of a response, unless it says that it is something else."""
    if response.status != 200:
        raise InvalidPicture(
            f"{link.host} answered {response.status}, not a {link.noun}."
        )
    kind = _header(response, b"content-type").strip().lower()
    if kind and not kind.startswith(TYPES[link.noun]):
        raise InvalidPicture(
            f"{link.host} sent {kind[:80]!r}, which is not a {link.noun}."
        )
    coding = _header(response, b"content-encoding").strip().lower()
    if coding not in ("", "identity"):
        raise InvalidPicture(
            f"{link.host} sent the {link.noun} compressed ({coding[:40]})."
        )
    length = _header(response, b"content-length")
    if length.isdecimal() and int(length[:20]) > MOST_BYTES:
        raise _too_large(link)
    data = bytearray()
    async for piece in response.aiter_stream():
        if len(data) + len(piece) > MOST_BYTES:
            raise _too_large(link)
        hold(len(piece))
        data += piece
    return bytes(data)


def _header(response: httpcore.Response, name: bytes) -> str:
    found = (value for key, value in response.headers if key.lower() == name)
    return next(found, b"").decode("latin-1")


def _too_large(link: Link) -> InvalidPicture:
    return InvalidPicture(
        f"A {link.noun} may have {MOST_BYTES >> 20} MiB at most. Send a smaller one."
    )

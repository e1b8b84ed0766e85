"""Who asks, as the door decided it: a word that all parts share."""

from __future__ import annotations

from dataclasses import dataclass

ANONYMOUS = "anonymous"  # the one tenant of a server without keys


@dataclass(frozen=True)
class Caller:
    """The sender of a request. The server makes all four names; no client chooses one.

    `tenant` is the id of a key, or ANONYMOUS. `name` is what jobs belong to. `address`
    is where the request came from: an IPv4 address, or the /64 of an IPv6 one. Equal
    `scope`s may see what was computed for one another: answers, prefixes, pictures.
    """

    tenant: str
    name: str
    address: str
    scope: str

    @property
    def account(self) -> str:
        """Whose share of the queue is used: the tenant's, else each caller's own."""
        return self.name if self.tenant == ANONYMOUS else self.tenant

    @property
    def culprit(self) -> str:
        """Who answers for workers that die: who can get another name for nothing, by
        the address."""
        return self.address if self.tenant == ANONYMOUS else self.tenant

"""The sender of a request, as the door has identified it."""

from __future__ import annotations

from dataclasses import dataclass

ANONYMOUS = "anonymous"  # the one tenant of a server without keys


@dataclass(frozen=True)
class Caller:
    """The sender of a request. The server makes all four names; no client chooses one.

    `tenant` is the id of a key, or ANONYMOUS. `name` owns jobs. `address` is an IPv4
    address, or the /64 of an IPv6 one. Callers of equal `scope` may be given what was
    computed for one another: answers, prefixes, pictures.
    """

    tenant: str
    name: str
    address: str
    scope: str

    @property
    def account(self) -> str:
        """Owns a share of the queue: the tenant, or an anonymous caller."""
        return self.name if self.tenant == ANONYMOUS else self.tenant

    @property
    def culprit(self) -> str:
        """Is blamed when workers die, and owns what the cache server stores for its
        clients: the tenant, or the address of an anonymous caller, whose name costs
        nothing to change."""
        return self.address if self.tenant == ANONYMOUS else self.tenant

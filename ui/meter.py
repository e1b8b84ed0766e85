"""What a question costs its tenant, counted before it is spent, and told in headers."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.caller import Caller
from edge.jobs.ledger import Charge, Ledger, refusal
from edge.limits import Limits
from edge.redis_clients import UNREACHABLE
from ui.subscriptions import broker_away

# As OpenAI's clients read them; image tokens are ours.
_NAMES = {
    "requests": "requests",
    "answer-tokens": "tokens",
    "image-tokens": "image-tokens",
}


@dataclass
class Meter:
    """`headers` fills with what is left of each limit that a charge was counted on."""

    ledger: Ledger
    caller: Caller
    limits: Limits
    headers: dict[str, str] = field(default_factory=dict)

    async def check(self, counted: str, n: int) -> None:
        """Raises RateLimited when less than `n` is left, before the work that tells how
        much it will be. Counts nothing."""
        charge = await self._charged(counted, 0)
        if charge is not None and charge.left < n:
            raise refusal(charge, n)

    async def charge(self, counted: str, n: int) -> Charge | None:
        """See `Ledger.charge`. Raises RateLimited."""
        charge = await self._charged(counted, n)
        if charge is not None and not charge.is_granted:
            raise refusal(charge, n)
        return charge

    async def _charged(self, counted: str, n: int) -> Charge | None:
        """Raises Unavailable when the broker cannot be asked."""
        tenant, quotas = self.caller.tenant, self.limits.quotas
        try:
            charge = await self.ledger.charge(tenant, quotas, counted, n)
        except UNREACHABLE as error:
            raise broker_away(error) from error
        if charge is None:
            return None
        name = _NAMES[counted]
        self.headers |= {
            f"x-ratelimit-limit-{name}": str(charge.limit),
            f"x-ratelimit-remaining-{name}": str(charge.left),
            f"x-ratelimit-reset-{name}": f"{charge.resets_s}s",
        }
        return charge

    async def refund(self, charge: Charge | None, n: int) -> None:
        if charge is not None:
            await self.ledger.refund(self.caller.tenant, charge, n)

    async def known(self, model: str) -> None:
        """An answer that was known: nothing is computed for it."""
        await self.ledger.known(self.caller.tenant, model)

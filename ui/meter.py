"""Charges the tenant of a question before work is done, and reports it in headers."""

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
RATE_LIMITS = tuple(
    f"x-ratelimit-{what}-{name}"
    for name in _NAMES.values()
    for what in ("limit", "remaining", "reset")
)  # names of response headers


@dataclass
class Meter:
    """`headers` receives the rest of each quota that was charged."""

    ledger: Ledger
    caller: Caller
    limits: Limits
    headers: dict[str, str] = field(default_factory=dict)

    async def check(self, counted: str, n: int) -> None:
        """Raises RateLimited when less than `n` is left. Charges nothing: how much it
        will be is not known yet."""
        charge = await self._charge(counted, 0)
        if charge is not None and charge.left < n:
            raise refusal(charge, n)

    async def charge(
        self, counted: str, n: int, job_id: str | None = None
    ) -> Charge | None:
        """See `Ledger.charge`. Raises RateLimited."""
        charge = await self._charge(counted, n, job_id)
        if charge is not None and not charge.is_granted:
            raise refusal(charge, n)
        return charge

    async def _charge(
        self, counted: str, n: int, job_id: str | None = None
    ) -> Charge | None:
        """Raises Unavailable when the broker cannot be reached."""
        tenant, quotas = self.caller.tenant, self.limits.quotas
        try:
            charge = await self.ledger.charge(tenant, quotas, counted, n, job_id)
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

    async def record_known(self, model: str) -> None:
        """Records a known answer, for which nothing is computed."""
        await self.ledger.known(self.caller.tenant, model)

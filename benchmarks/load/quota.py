"""The limit on requests in a stage, shared by all its users. Knows no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Quota:
    """Numbers the requests of one stage, until their number or its time is reached."""

    stage: int = 0  # its index in the run: stages never share pictures
    requests: float = math.inf
    until: float = math.inf  # on the clock of `now`
    n_begun: int = 0

    def take(self, now: float) -> int | None:
        """The number of the next request, from 0; None when no more may begin."""
        if self.is_over(now):
            return None
        self.n_begun += 1
        return self.n_begun - 1

    def is_over(self, now: float) -> bool:
        return self.n_begun >= self.requests or self.is_late(now)

    def is_late(self, now: float) -> bool:
        return now >= self.until

    def left_s(self, now: float) -> float:
        """The longest useful pause before the next request."""
        return 0.0 if self.is_over(now) else self.until - now

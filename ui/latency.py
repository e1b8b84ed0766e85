"""How long the answers of the last hour took, by stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

WINDOW_S: Final = 3600.0
MOST: Final = 2000  # answers
STAGES: Final = ("queue", "encode", "prefill", "decode", "e2e")


@dataclass(frozen=True)
class Latency:
    """Of one computed answer: seconds of each of STAGES, `encode` only with pictures,
    and when it ended."""

    tenant: str
    ended_at: float
    seconds: dict[str, float]


class RecentLatencies:
    """Those of the last hour, by `clock`, at most MOST."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest: deque[Latency] = deque(maxlen=MOST)

    def add(self, tenant: str, seconds: dict[str, float]) -> None:
        self._latest.append(Latency(tenant, self._clock(), seconds))

    def by_stage(self, tenant: str | None) -> dict[str, dict[str, Any]]:
        """Median and 95th percentile of each stage, of one tenant or of all."""
        since = self._clock() - WINDOW_S
        counted = [
            one.seconds
            for one in self._latest
            if one.ended_at >= since and tenant in (None, one.tenant)
        ]
        found = {
            stage: sorted(one[stage] for one in counted if stage in one)
            for stage in STAGES
        }
        return {
            stage: {
                "n": len(seconds),
                "p50_s": _percentile(seconds, 0.5),
                "p95_s": _percentile(seconds, 0.95),
            }
            for stage, seconds in found.items()
            if seconds
        }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

"""What steps and stages of pictures take on this machine, learned as it works.

Pure. The policy asks for seconds and knows nothing about kernels or processors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

N_LATEST = 5  # measurements of similar sizes


class Curve:
    """Seconds by size: straight lines between measured sizes.

    `measured_ms` are milliseconds by size from an earlier measurement. Sizes with the
    same number of bits share one point, the second fastest of their latest
    measurements: what else a machine does can only make work longer, and what seems too
    slow is not tried again, and so would never be corrected.
    """

    def __init__(self, measured_ms: Mapping[int, float] | None = None) -> None:
        self._latest: dict[int, deque[tuple[float, int]]] = {}
        self._points: list[tuple[int, float]] = []  # sizes and seconds, ascending
        for size, ms in (measured_ms or {}).items():
            self.observe(size, ms / 1000)

    def observe(self, size: int, seconds: float) -> None:
        """Work of this size, at least 1, has taken `seconds`."""
        new: deque[tuple[float, int]] = deque(maxlen=N_LATEST)
        self._latest.setdefault(size.bit_length(), new).append((seconds / size, size))
        self._points = sorted(map(_likely, self._latest.values()))

    def seconds(self, size: int) -> float | None:
        """What work of this size takes; None before the first measurement.

        Careful outside of what was measured: smaller work takes as long as the
        smallest, larger work is proportional to the largest.
        """
        if not self._points:
            return None
        smallest, least_s = self._points[0]
        if size <= smallest:
            return least_s
        for (n, n_s), (m, m_s) in pairwise(self._points):
            if size <= m:
                return n_s + (m_s - n_s) * (size - n) / (m - n)
        largest, most_s = self._points[-1]
        return most_s * size / largest


class Costs:
    """Of a step by its tokens, alone and beside the vision encoder; of a stage by the
    image tokens of its picture. Without measurements it learns within a few steps."""

    def __init__(
        self,
        step_ms: Mapping[int, float] | None = None,
        stage_ms: Mapping[int, float] | None = None,
    ) -> None:
        self.step = Curve(step_ms)
        self.step_beside = Curve()
        self.stage = Curve(stage_ms)


def _likely(latest: deque[tuple[float, int]]) -> tuple[int, float]:
    """Size and seconds of the second fastest measurement; of two, the fastest."""
    rate_s, size = sorted(latest)[min(1, (len(latest) - 1) // 2)]
    return size, rate_s * size

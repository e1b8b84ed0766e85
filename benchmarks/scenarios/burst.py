"""A burst: users come in steps, 30 % of what they ask is text.

Field report C: 0 to 300 users, for one model on GPUs. Our runner begins each step with
all of its users at once; under Locust alone each step adds to the one before.
"""

from __future__ import annotations

from locust import LoadTestShape

from benchmarks.load.mixed import MixedUser

STAGES = (4, 8, 16, 32)
DURATION_S = 30


class Burst(MixedUser):
    pass


class Steps(LoadTestShape):
    """The same stages for Locust's own runner; `--users` says nothing there."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() // DURATION_S)  # type: ignore[no-untyped-call]
        return (STAGES[step], STAGES[step]) if step < len(STAGES) else None

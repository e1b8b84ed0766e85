"""A burst: users come in steps, and 30 % of their questions are text.

Field report C: 0 to 300 users, for one model on GPUs. Our runner starts each step with
all of its users at once; under Locust alone each step adds users to the previous one.
"""

from __future__ import annotations

from locust import LoadTestShape

from benchmarks.load.mixed import MixedUser

STAGES = (4, 8, 16, 32)
DURATION_S = 30


class Burst(MixedUser):
    pass


class Steps(LoadTestShape):
    """The same stages for Locust's own runner, which then ignores `--users`."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() // DURATION_S)  # type: ignore[no-untyped-call]
        return (STAGES[step], STAGES[step]) if step < len(STAGES) else None

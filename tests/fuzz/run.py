"""Feeds a target for some time and counts how it ended."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.targets import Target

BATCH = 200


def fuzz(target: Target, seconds: float, first_seed: int) -> Counter[str]:
    """How often `target` ended in which way.

    Raises what a check raised, for the shortest input that makes it do so; hypothesis
    prints that input.
    """
    ends, counts = time.monotonic() + seconds, Counter[str]()
    n_batches = 0
    while not counts or time.monotonic() < ends:

        @seed(first_seed + n_batches)
        @settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(target.inputs)
        def batch(one: Any) -> None:
            if not counts or time.monotonic() < ends:
                counts[target.check(one)] += 1

        batch()
        n_batches += 1
    return counts

"""The resources of one decoding, by the size that the file claims. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.images.claim import claim_of

CHILD_MEMORY_BYTES = 1 << 30
SMALL_MEMORY_BYTES = 384 << 20
CHILD_SECONDS = 10  # of CPU time, for the largest
SMALL_SECONDS = 2
SMALL_PIXELS = 1 << 22
LARGE_NICE = 5  # a third of the CPU time of an answer, when both compete
_PIXELS_PER_SECOND = 1 << 23  # a tenth of the speed of the slowest format on slow cores


@dataclass(frozen=True)
class Limits:
    """Of the child: CPU seconds and bytes of address space."""

    cpu_s: int
    memory_bytes: int

    @property
    def is_large(self) -> bool:
        """One of these takes as much memory as all the others together."""
        return self.memory_bytes > SMALL_MEMORY_BYTES


SMALL = Limits(SMALL_SECONDS, SMALL_MEMORY_BYTES)


def limits_for(encoded: bytes) -> Limits:
    """A file that claims less than it holds, or nothing, gets the small limits."""
    claim = claim_of(encoded)
    more = max(0, claim.n_pixels - SMALL_PIXELS) if claim else 0
    cpu_s = min(CHILD_SECONDS, SMALL_SECONDS + math.ceil(more / _PIXELS_PER_SECOND))
    return Limits(cpu_s, CHILD_MEMORY_BYTES if more else SMALL_MEMORY_BYTES)

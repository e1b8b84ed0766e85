"""Half an hour of steady load, to find growth in memory, latency and errors.

The third step of field report D, with as many users as one worker has slots.
"""

from __future__ import annotations

from benchmarks.load.mixed import MixedUser

STAGES = (4,)
DURATION_S = 1800


class Soak(MixedUser):
    pass

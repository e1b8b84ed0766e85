"""Half an hour of steady load, to see what grows: memory, latency, errors.

Field report D's third step, for as many users as one worker has slots.
"""

from __future__ import annotations

from benchmarks.load.mixed import MixedUser

STAGES = (4,)
DURATION_S = 1800


class Soak(MixedUser):
    pass

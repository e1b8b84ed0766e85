"""The latency tail: enough mixed requests for P99.9.

Field report C asks for P99 and P99.9. Of two thousand requests, two are above P99.9.
"""

from __future__ import annotations

from benchmarks.load.mixed import MixedUser

STAGES = (8,)
REQUESTS = 2000


class Tail(MixedUser):
    pass

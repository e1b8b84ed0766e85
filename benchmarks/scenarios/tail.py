"""The tail: so many mixed requests that one in a thousand can be seen.

Field report C asks for P99 and P99.9. Two thousand requests leave two above P99.9.
"""

from __future__ import annotations

from benchmarks.load.mixed import MixedUser

STAGES = (8,)
REQUESTS = 2000


class Tail(MixedUser):
    pass

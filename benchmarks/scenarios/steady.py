"""Steady load: 70 % pictures, 30 % text.

The mixture of field report C, with as many users as one worker has slots.
"""

from __future__ import annotations

from benchmarks.load.mixed import MixedUser

STAGES = (4,)
DURATION_S = 300


class Steady(MixedUser):
    pass

"""Far more users than slots and backlog together: how many are refused, how fast?

Pictures only. Refusals must be immediate, and answers no slower than before.
"""

from __future__ import annotations

from benchmarks.load.user import ChatUser

STAGES = (8, 16, 32, 64)
DURATION_S = 60


class Overload(ChatUser):
    pass

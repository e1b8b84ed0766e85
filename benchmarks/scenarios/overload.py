"""Far more users than slots and backlog together: who is refused, and how fast?

Pictures only. A refusal must come at once, and the answers no slower than before.
"""

from __future__ import annotations

from benchmarks.load.user import ChatUser

STAGES = (8, 16, 32, 64)
DURATION_S = 60


class Overload(ChatUser):
    pass

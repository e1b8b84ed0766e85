"""The concurrency curve: a new picture per request, the same question, no pauses.

Field report A: 800x600 JPEG of about 120 KB, five minutes for each number of users.
"""

from __future__ import annotations

from benchmarks.load.user import ChatUser

STAGES = (1, 2, 4, 8, 16)
DURATION_S = 300


class Curve(ChatUser):
    pass

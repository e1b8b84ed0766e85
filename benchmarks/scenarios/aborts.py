"""Clients that hang up, some while they wait and some in mid-stream.

Their slots must become free at once, so that other users lose nothing.
"""

from __future__ import annotations

from benchmarks.load import options, questions
from benchmarks.load.exchange import Patience
from benchmarks.load.user import ChatUser

STAGES = (8,)
DURATION_S = 120

options.share("--abort-share", 0.5, "share of requests whose client hangs up")


class Aborts(ChatUser):
    def patience(self, number: int) -> Patience:
        share = self.options.abort_share
        return questions.patience(self.run_name, number, share)

"""Twenty pictures and repeated questions: the effect of all caches.

Field report B, its scenario C: 63.7 % of the requests were repeated. The others are new
questions about a picture that soon is known.
"""

from __future__ import annotations

from benchmarks.load import options, questions
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser

STAGES = (4,)
REQUESTS = 300

options.share("--repeat-rate", 0.64, "share of requests that repeat an earlier one")


class Cache(ChatUser):
    def question(self, number: int) -> Question:
        rate = self.options.repeat_rate
        return questions.repeating(self.run_name, number, rate)

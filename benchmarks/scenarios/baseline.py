"""A single user: text, picture and high-resolution picture in a cycle.

The rows of the table by input in field report C, without waiting for other users.
"""

from __future__ import annotations

from benchmarks.load import questions
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser

STAGES = (1,)
REQUESTS = 60  # twenty of each kind


class Baseline(ChatUser):
    def question(self, number: int) -> Question:
        return questions.alternating(self.run_name, number)

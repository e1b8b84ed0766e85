"""A single user: text, picture and high-resolution picture in turns.

The rows of field report C's table by input; nobody else is there to wait for.
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

"""All users ask about one picture: the effect of prefix and embedding caches.

Every question is new, so an answer cache does not help; the picture of a stage is
encoded with its first question.
"""

from __future__ import annotations

from benchmarks.load import questions
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser

STAGES = (1, 4)
REQUESTS = 40


class Shared(ChatUser):
    def question(self, number: int) -> Question:
        return questions.about_one_picture(self.run_name, number)

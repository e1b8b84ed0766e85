"""One picture that everybody asks about: what a server keeps of what it has read.

Every question is new, so that no cache of answers helps; the picture of a stage is read
with its first question.
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

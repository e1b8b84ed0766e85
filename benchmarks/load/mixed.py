"""The user of the scenarios that mix text and pictures."""

from __future__ import annotations

from benchmarks.load import options, questions
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser

options.share("--text-share", 0.3, "share of requests without a picture")


class MixedUser(ChatUser):
    abstract = True

    def question(self, number: int) -> Question:
        share = self.options.text_share
        return questions.mixed(self.run_name, number, share)

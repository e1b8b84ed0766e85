"""Conversations: a picture, then three to five follow-up questions about it.

The answers go back in, so each question is longer than the one before, and begins with
what the server has already computed once.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from benchmarks.load import questions
from benchmarks.load.user import ChatUser

STAGES = (1, 4)
DURATION_S = 300


class Conversations(ChatUser):
    begun = count()  # shared by all users

    def turn(self) -> None:
        messages: list[dict[str, Any]] = []
        for question in questions.conversation(self.run_name, next(self.begun)):
            self.take()
            messages.append(question.message())
            reply = self.ask(question.kind, messages)
            if reply.outcome != "answered":
                return  # a person would begin again, too
            messages.append({"role": "assistant", "content": reply.answer.text})

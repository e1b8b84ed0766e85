"""Conversations: a picture, then three to five follow-up questions about it.

Each request contains the earlier answers, so it is longer than the previous one, and
begins with a prefix that the server has already computed.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from benchmarks.load import questions
from benchmarks.load.user import ChatUser

STAGES = (1, 4)
DURATION_S = 300


class Conversations(ChatUser):
    conversation_numbers = count()  # shared by all users

    def ask_next(self) -> None:
        messages: list[dict[str, Any]] = []
        number = next(self.conversation_numbers)
        for question in questions.conversation(self.run_name, number):
            self.take_number()
            messages.append(question.message())
            reply = self.ask(question.kind, messages)
            if reply.outcome != "answered":
                return  # a person would start over, too
            messages.append({"role": "assistant", "content": reply.answer.text})

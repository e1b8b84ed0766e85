"""What Open WebUI's page asks by itself is told from what people ask."""

from __future__ import annotations

from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from ui.openai.body import ChatBody
from ui.openai.open_webui import is_unasked
from ui.parsed_question import ParsedQuestion

CHAT = "\n### Chat History:\n<chat_history>\nUSER: Hello\n</chat_history>"
TITLE = (
    "### Task:\nWrite a title.\n### Output:\n"
    'JSON format: { "title": "your title" }\n### Examples:\n- { "title": "Hats" }'
)
TAGS = '### Task:\nFind tags.\n### Output:\nJSON format: { "tags": ["a", "b"] }\n'
NEXT = '### Task:\nGo on.\n### Output:\nJSON format: { "follow_ups": ["a", "b"] }'
QUERY = '### Task:\nSearch.\n### Output:\nIn JSON: { "queries": ["a", "b"] }'


def asked(content: Any, *others: Any, **given: Any) -> ChatBody:
    messages = [{"role": "user", "content": content}, *others]
    return ChatBody.model_validate({"messages": messages} | given)


@pytest.mark.parametrize("prompt", [TITLE, TAGS, NEXT])
def test_titles_tags_and_next_questions_wait(prompt: str) -> None:
    body = asked(prompt + CHAT)
    assert is_unasked(body)
    me = Caller(ANONYMOUS, "me", "127.0.0.1", "me")
    question = ParsedQuestion(body, 5, me)
    assert question.is_batch
    [message] = question.request(()).messages
    assert message.content == (prompt + CHAT,)


@pytest.mark.parametrize(
    "body",
    [
        asked(QUERY + CHAT),  # a person waits for what is found
        asked(TITLE),
        asked("What does this say? " + TITLE + CHAT),
        asked("### Task: read this\n### Chat History:" + TITLE),
        asked([{"type": "text", "text": TITLE + CHAT}]),
        asked(TITLE + CHAT, {"role": "user", "content": "Why?"}),
        asked("### Task:" + " " * 20_000 + TITLE + CHAT),
    ],
)
def test_other_questions_do_not_wait(body: ChatBody) -> None:
    assert not is_unasked(body)

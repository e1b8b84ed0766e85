"""Requests that Open WebUI's page makes by itself: a title, tags, next questions.

It sends them for every chat, the title even before the answer. They wait behind
people's questions, and nothing else about them changes. Source: the default prompts in
`config.py` of Open WebUI 0.12.
"""

from __future__ import annotations

from ui.openai.body import ChatBody
from ui.openai.messages import UserMessage

BEGIN, END = "### Task:", "### Chat History:"
# What the answer is for. Of its other prompts a person waits for the answer.
OUTPUTS = tuple(f'JSON format: {{ "{n}":' for n in ("title", "tags", "follow_ups"))
LONGEST_PROMPT = 10_000  # characters, without the chat


def is_unasked(body: ChatBody) -> bool:
    """Whether Open WebUI asks this by itself."""
    match body.messages:
        case [UserMessage(content=str(text))] if text.startswith(BEGIN):
            prompt, found, _ = text[:LONGEST_PROMPT].partition(END)
            return bool(found) and any(output in prompt for output in OUTPUTS)
    return False

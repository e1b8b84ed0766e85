"""A completion: one JSON body, or a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from edge.events import Failed, Finished, Progress, Retried, Token
from edge.request import Answer
from ui.event_streams import Events
from ui.progress import progress_comment
from ui.sse import DONE, KEEP_ALIVE, measured


@dataclass(frozen=True)
class Completion:
    """The completion that the job `job_id` computes. `begin` is the text before the
    answer: the prompt, if the client wants it back."""

    job_id: str
    created: float
    model: str
    begin: str = ""

    def body(self, answer: Answer) -> dict[str, Any]:
        """The body of a completion that is not streamed."""
        text = self.begin + answer.text
        return self._envelope(text, answer.finish_reason) | measured([answer])

    async def stream(self, events: Events, include_usage: bool) -> AsyncIterator[str]:
        """The lines of a streamed completion. A failure becomes an error frame."""
        if self.begin:
            yield _frame(self._envelope(self.begin))
        n_read = n_shown = 0
        async for event in events:
            match event:
                case Token(text):
                    if new := text[max(0, n_shown - n_read) :]:
                        yield _frame(self._envelope(new))
                    n_read += len(text)
                    n_shown = max(n_shown, n_read)
                case Finished(answer):
                    rest = answer.text[n_shown:]
                    yield _frame(self._envelope(rest, answer.finish_reason))
                    if include_usage:
                        last = self._envelope("") | {"choices": []}
                        yield _frame(last | measured([answer]))
                case Failed():
                    yield _frame(event.error.body())
                case Retried():  # a client gets no text twice
                    n_read = 0
                case None:
                    yield KEEP_ALIVE
            if isinstance(event, Progress | Retried):
                yield progress_comment(event)
        yield DONE

    def _envelope(self, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None}
        return {
            "id": f"cmpl-{self.job_id}",
            "object": "text_completion",
            "created": int(self.created),
            "model": self.model,
            "choices": [choice | {"finish_reason": finish_reason}],
        }


def _frame(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

"""Events of a job as the OpenAI API tells them: one JSON body or a stream of chunks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from edge.errors import EngineError
from edge.events import Event, Failed, Finished, Started, Token
from edge.request import Answer, Usage
from ui.client import Events

DONE = "data: [DONE]\n\n"
KEEP_ALIVE = ": still working\n\n"  # a comment: every SSE client skips it


class Reply:
    """The envelope of one answer: id, time and model are the same in all its parts."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._model = model

    def complete(self, answer: Answer) -> dict[str, Any]:
        """The body of a non-streamed answer."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        return self._envelope("chat.completion", [choice]) | {
            **_measured(answer),
        }

    async def stream(self, events: Events, include_usage: bool) -> AsyncIterator[str]:
        """The lines of a streamed answer. A failure becomes an error frame: a stream
        that merely stopped would look like a complete answer."""
        yield self._chunk({"role": "assistant", "content": ""})
        shown = ""
        async for event in events:
            match event:
                case Token(text):
                    shown += text
                    yield self._chunk({"content": text})
                case Finished(answer):
                    if rest := answer.text.removeprefix(shown):  # from the cache: all
                        yield self._chunk({"content": rest})
                    yield self._chunk({}, answer.finish_reason)
                    if include_usage:
                        last = self._envelope("chat.completion.chunk", [])
                        yield _frame(last | _measured(answer))
                case Failed():
                    yield _frame(event.error.body())
                case None:
                    yield KEEP_ALIVE
        yield DONE

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _frame(self._envelope("chat.completion.chunk", [choice]))

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


async def started(events: Events) -> Events:
    """The same events, once a worker has accepted the question.

    Raises the error if it was refused: as long as no byte has been sent, a refusal can
    have a proper HTTP status.
    """
    async for event in events:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Started | Finished):
            return _chain(event, events)
    raise EngineError("This question ended without an answer.")


async def finished(events: Events) -> Answer:
    """The answer at the end of the events. Raises the error if there is none."""
    async for event in events:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Finished):
            return event.answer
    raise EngineError("This question ended without an answer.")


async def _chain(first: Event, rest: Events) -> Events:
    yield first
    async for event in rest:
        yield event


def _measured(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage, and beside it where the time went and what did not fit."""
    return {
        "usage": _usage(answer.usage),
        "timings": vars(answer.timings),
        "dropped_messages": answer.n_dropped,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _frame(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

"""A job's events in the form of the OpenAI API: one JSON body or a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from edge.events import (
    Accepted,
    Encoding,
    Failed,
    Finished,
    Prefilling,
    Queued,
    Retried,
    Started,
    Token,
)
from edge.request import Answer, Usage
from ui.event_streams import Events
from ui.progress import progress_comment

DONE = "data: [DONE]\n\n"
# Comments, which every SSE client skips.
KEEP_ALIVE = ": still working\n\n"


class Reply:
    """The envelope of one answer: id, time and model are equal in all its chunks, also
    when it is read again."""

    def __init__(self, job_id: str, created: float, model: str) -> None:
        self._id = f"chatcmpl-{job_id}"
        self._created = int(created)
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
        return self._envelope("chat.completion", [choice]) | _measured(answer)

    async def stream(
        self, events: Events, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        """The lines of a streamed answer, without its first `skip` characters. A
        failure becomes an error frame: a stream that merely stopped would look like a
        complete answer.

        The id of each chunk is the number of characters up to its end, from which a
        client can resume.
        """
        yield self._chunk({"role": "assistant", "content": ""}, at=skip)
        sent = ""
        async for event in events:
            match event:
                case Token(text):
                    fresh = text[max(0, skip - len(sent)) :]
                    sent += text
                    if fresh:
                        yield self._chunk({"content": fresh}, at=len(sent))
                case Finished(answer):
                    # from the cache: all of it
                    at = max(skip, len(sent))
                    if rest := answer.text[at:]:
                        yield self._chunk({"content": rest}, at=len(answer.text))
                    yield self._chunk({}, answer.finish_reason, at=len(answer.text))
                    if include_usage:
                        last = self._envelope("chat.completion.chunk", [])
                        yield _frame(last | _measured(answer))
                case Failed():
                    yield _frame(event.error.body())
                case Accepted() | Queued() | Started() | Encoding() | Prefilling():
                    yield progress_comment(event)
                case Retried():  # a client gets no text twice
                    skip, sent = max(skip, len(sent)), ""
                    yield progress_comment(event)
                case None:
                    yield KEEP_ALIVE
        yield DONE

    def _chunk(
        self, delta: dict[str, str], finish_reason: str | None = None, *, at: int
    ) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = self._envelope("chat.completion.chunk", [choice])
        return f"id: {at}\n{_frame(chunk)}"

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def event_stream(
    lines: AsyncIterator[str], headers: dict[str, str] | None = None
) -> StreamingResponse:
    """A response that sends `lines` as they come."""
    return StreamingResponse(
        lines,
        media_type="text/event-stream",
        # proxies must neither store nor buffer a stream
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        | (headers or {}),
    )


def _measured(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage; beside it timings and the number of messages left out."""
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

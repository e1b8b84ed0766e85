"""A job's events in the form of the OpenAI API: one JSON body or a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from edge.events import Failed, Finished, Progress, Retried, Token
from edge.request import Answer, Usage
from ui.choice import Choice
from ui.event_streams import Events
from ui.progress import progress_comment

DONE = "data: [DONE]\n\n"
# Comments, which every SSE client skips.
KEEP_ALIVE = ": still working\n"  # as `progress_comment`


class Reply:
    """The envelope of one answer: id, time and model are equal in all its chunks, also
    when it is read again. An answer that `has_tools` may hold calls of functions."""

    def __init__(
        self, job_id: str, created: float, model: str, *, has_tools: bool = False
    ) -> None:
        self._job_id = job_id
        self._id = f"chatcmpl-{job_id}"
        self._has_tools = has_tools
        self._created = int(created)
        self._model = model

    def complete(self, answer: Answer) -> dict[str, Any]:
        """The body of a non-streamed answer."""
        choice = self._choice().whole(answer)
        return self._envelope("chat.completion", [choice]) | measured(answer)

    async def stream(
        self, events: Events, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        """The lines of a streamed answer, without its first `skip` characters. A
        failure becomes an error frame: a stream that merely stopped would look like a
        complete answer.

        The id of each chunk is the number of characters that the model had written,
        from which a client can resume.
        """
        choice = self._choice(skip)
        yield self._chunk(choice.first(), at=skip)
        async for event in events:
            match event:
                case Token() | Finished() | Retried():
                    for chunk in choice.read(event):
                        yield self._chunk(chunk, at=choice.n_read)
                case Failed():
                    yield _frame(event.error.body())
                case None:
                    yield KEEP_ALIVE
            if isinstance(event, Finished) and include_usage:
                last = self._envelope("chat.completion.chunk", [])
                yield _frame(last | measured(event.answer))
            if isinstance(event, Progress | Retried):
                yield progress_comment(event)
        yield DONE

    def _choice(self, skip: int = 0) -> Choice:
        return Choice(0, self._job_id, has_tools=self._has_tools, skip=skip)

    def _chunk(self, choice: dict[str, Any], *, at: int) -> str:
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
    lines: AsyncIterator[str],
    headers: dict[str, str] | None = None,
    media_type: str = "text/event-stream",
) -> StreamingResponse:
    """A response that sends `lines` as they come."""
    return StreamingResponse(
        lines,
        media_type=media_type,
        # proxies must neither store nor buffer a stream
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
        | (headers or {}),
    )


def measured(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage; beside it timings, the number of messages left out, whether the
    tools were, the number of pictures that are the first of several in their file, and
    the most tokens that the answer could have."""
    return {
        "usage": _usage(answer.usage),
        "timings": vars(answer.timings),
        "dropped_messages": answer.n_dropped,
        "first_only_pictures": answer.n_first,
        "dropped_tools": answer.dropped_tools,
        "max_tokens": answer.max_tokens,
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

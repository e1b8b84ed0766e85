"""A job's events in the form of the OpenAI API: one JSON body or a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
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
from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    CallReader,
    Found,
    Text,
    TextReader,
)
from edge.request import Answer, Usage
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
        reader = self._reader()
        found = [*reader.feed(answer.text), *reader.end()]
        text = "".join(part.text for part in found if isinstance(part, Text))
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls := self._calls(found):
            message |= {"content": text or None, "tool_calls": calls}
        choice = {
            "index": 0,
            "message": message | {"refusal": None},
            "logprobs": None,
            "finish_reason": _finish_reason(answer, reader.n_calls > 0),
        }
        return self._envelope("chat.completion", [choice]) | _measured(answer)

    async def stream(
        self, events: Events, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        """The lines of a streamed answer, without its first `skip` characters. A
        failure becomes an error frame: a stream that merely stopped would look like a
        complete answer.

        The id of each chunk is the number of characters that the model had written,
        from which a client can resume.
        """
        yield self._chunk({"role": "assistant", "content": ""}, at=skip)
        n_read, reader = 0, self._reader()
        async for event in events:
            match event:
                case Token(text):
                    n_known = min(len(text), max(0, skip - n_read))
                    reader.feed(text[:n_known])
                    n_read += len(text)
                    for delta in self._deltas(reader.feed(text[n_known:])):
                        yield self._chunk(delta, at=n_read)
                case Finished(answer):
                    # what is not read yet: all of an answer from the cache
                    at = max(skip, n_read)
                    reader.feed(answer.text[n_read:at])
                    rest = [*reader.feed(answer.text[at:]), *reader.end()]
                    for delta in self._deltas(rest):
                        yield self._chunk(delta, at=len(answer.text))
                    reason = _finish_reason(answer, reader.n_calls > 0)
                    yield self._chunk({}, reason, at=len(answer.text))
                    if include_usage:
                        last = self._envelope("chat.completion.chunk", [])
                        yield _frame(last | _measured(answer))
                case Failed():
                    yield _frame(event.error.body())
                case Accepted() | Queued() | Started() | Encoding() | Prefilling():
                    yield progress_comment(event)
                case Retried():  # a client gets no text twice
                    skip, n_read, reader = max(skip, n_read), 0, self._reader()
                    yield progress_comment(event)
                case None:
                    yield KEEP_ALIVE
        yield DONE

    def _reader(self) -> CallReader | TextReader:
        return CallReader() if self._has_tools else TextReader()

    def _deltas(self, found: list[Found]) -> Iterator[dict[str, Any]]:
        for part in found:
            match part:
                case Text(text):
                    yield {"content": text}
                case Called(index, name):
                    yield {"tool_calls": [self._call(index, name) | {"index": index}]}
                case Arguments(index, text):
                    call = {"index": index, "function": {"arguments": text}}
                    yield {"tool_calls": [call]}

    def _calls(self, found: list[Found]) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        for part in found:
            match part:
                case Called(index, name):
                    calls.append(self._call(index, name))
                case Arguments(index, text):
                    calls[index]["function"]["arguments"] += text
        return calls

    def _call(self, index: int, name: str) -> dict[str, Any]:
        return {
            "id": f"call_{self._job_id}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }

    def _chunk(
        self, delta: dict[str, Any], finish_reason: str | None = None, *, at: int
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


def _finish_reason(answer: Answer, has_calls: bool) -> str:
    """An answer that was cut off in a call has not made it."""
    is_whole = answer.finish_reason == "stop"
    return "tool_calls" if is_whole and has_calls else answer.finish_reason


def _measured(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage; beside it timings, the number of messages left out, and the most
    tokens that the answer could have."""
    return {
        "usage": _usage(answer.usage),
        "timings": vars(answer.timings),
        "dropped_messages": answer.n_dropped,
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

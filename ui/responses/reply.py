"""A response: one JSON body, or a stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from edge.errors import EdgeError
from edge.events import (
    Failed,
    Finished,
    Progress,
    Retried,
    Terminal,
)
from edge.usage import Usage
from ui.event_streams import Events
from ui.field_names import FieldNames
from ui.grounding import grounding
from ui.new_text import NewText
from ui.progress import progress_comment
from ui.responses.output import Event, Output
from ui.responses.translate import name_fields
from ui.sse import KEEP_ALIVE


@dataclass(frozen=True)
class Response:
    """The response that the job `job_id` computes. `asked` has the fields of its body
    that are told again; `created` is in seconds since 1970."""

    job_id: str
    created: float
    model: str
    has_tools: bool
    asked: dict[str, Any]

    @property
    def id(self) -> str:
        return f"resp_{self.job_id}"

    def body(self, outcome: Terminal | None, status: str = "queued") -> dict[str, Any]:
        """The response; without an `outcome` it has this `status`."""
        output: list[dict[str, Any]] = []
        end: dict[str, Any] = {}
        match outcome:
            case Finished(answer):
                is_whole = answer.finish_reason == "stop"
                output = self.output(outcome)
                status = "completed" if is_whole else "incomplete"
                why = None if is_whole else {"reason": "max_output_tokens"}
                end = {"incomplete_details": why, "usage": _usage(answer.usage)}
                end |= {"timings": vars(answer.timings)}
                end |= {"dropped_messages": answer.n_dropped}
                end |= {"first_only_pictures": answer.n_first}
                end |= {"max_tokens": answer.max_tokens} | grounding(answer)
            case Failed(code):
                status = "cancelled" if code == "cancelled" else "failed"
                end = {"error": _error(outcome.error)}
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created),
            "model": self.model,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": output,
            "usage": None,
            **self.asked,
            **end,
        }

    def output(self, outcome: Finished) -> list[dict[str, Any]]:
        """The items of a finished response."""
        output, answer = Output(self.job_id, has_tools=self.has_tools), outcome.answer
        for _ in output.feed(answer.text, answer.logprobs or ()):
            pass
        for _ in output.end(is_whole=answer.finish_reason == "stop"):
            pass
        return output.items

    async def stream(self, events: Events, after: int = -1) -> AsyncIterator[str]:
        """The lines of a streamed response, from the event behind the one of number
        `after`. A failure becomes an event too, and an error that `events` raise one of
        another type: the response itself goes on.

        Events are numbered by the characters before them, so that they have the same
        numbers when they are read again in other pieces.
        """
        numbered = Numbered(after)
        try:
            async for line in self._lines(events, numbered):
                yield line
        except EdgeError as error:
            yield numbered.error(error)

    async def _lines(self, events: Events, numbered: Numbered) -> AsyncIterator[str]:
        output = Output(self.job_id, has_tools=self.has_tools)
        for frame in numbered.frames(self._beginning()):
            yield frame
        text = NewText()
        async for event in events:
            added = text.read(event)
            for frame in numbered.frames(output.feed(added.new, added.logprobs)):
                yield frame
            match event:
                case Finished(answer):
                    is_whole = answer.finish_reason == "stop"
                    for frame in numbered.frames(output.end(is_whole=is_whole)):
                        yield frame
                    for frame in numbered.frames([self._end(event)]):
                        yield frame
                case Failed():
                    for frame in numbered.frames([self._end(event)]):
                        yield frame
                case Retried():  # a client gets no text twice
                    numbered.begin_again()
                    output = Output(self.job_id, has_tools=self.has_tools)
                    text = NewText()
                    for frame in numbered.frames(self._beginning()):
                        yield frame
                case None:
                    yield KEEP_ALIVE
            if isinstance(event, Progress | Retried):
                yield progress_comment(event)

    def _beginning(self) -> Iterator[Event]:
        body = self.body(None, "in_progress")
        yield {"type": "response.created", "response": body}
        yield {"type": "response.in_progress", "response": body}

    def _end(self, outcome: Terminal) -> Event:
        body = self.body(outcome)
        status = "failed" if isinstance(outcome, Failed) else body["status"]
        return {"type": f"response.{status}", "response": body}


class Numbered:
    """Numbers events: an event takes one number, new text one for each character, and
    is known by the last. Leaves out what a client has that knows the number `after`."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._next = 0

    def begin_again(self) -> None:
        """The same events follow once more."""
        self._after = max(self._after, self._next - 1)
        self._next = 0

    def frames(self, events: Iterator[Event] | list[Event]) -> Iterator[str]:
        """The lines of the events that the client has not got."""
        for event in events:
            first = self._next
            self._next += len(event.get("delta", "x"))
            if self._next - 1 <= self._after:
                continue
            if first <= self._after:
                rest = {"delta": event["delta"][self._after + 1 - first :]}
                # one token makes the delta of an answer with logprobs
                event |= rest | ({"logprobs": []} if "logprobs" in event else {})
            yield _frame(event, self._next - 1)

    def error(self, error: EdgeError) -> str:
        """The lines of an error. It takes no number: a client that goes on behind it
        misses nothing."""
        told = {"code": error.code, "message": error.message, "param": error.param}
        return _frame({"type": "error"} | told, max(self._after, self._next - 1))


def _frame(event: Event, number: int) -> str:
    data = json.dumps(event | {"sequence_number": number}, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data}\n\n"


def _usage(usage: Usage) -> dict[str, Any]:
    read = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0}
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": read,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _error(error: EdgeError) -> dict[str, Any]:
    """With one of the few codes that OpenAI's API has for it; `type` is ours."""
    code = "server_error"
    if error.status == 429:
        code = "rate_limit_exceeded"
    elif error.code == "invalid_image":
        code = error.code
    elif error.status < 500:
        code = "invalid_prompt"
    names = FieldNames()
    name_fields(names)
    body = names.rename(error).body()["error"]
    told = {name: body[name] for name in ("message", "param")}
    return told | {"code": code, "type": error.code}

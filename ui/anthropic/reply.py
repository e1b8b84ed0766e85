"""An answer in the form of the Messages API: one message or a stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from edge.events import (
    Accepted,
    Encoding,
    Failed,
    Finished,
    Prefilling,
    Queued,
    Retried,
    Started,
)
from edge.qwen3vl.call_reader import Arguments, Called, Found, Text, Thoughts
from edge.request import Answer
from edge.usage import Usage
from ui.answer_reader import AnswerReader, Call, Part
from ui.error_shape import error_body
from ui.event_streams import Events
from ui.field_names import FieldNames
from ui.grounding import grounding
from ui.progress import progress_comment

PATH = "/v1/messages"


class MessageReply:
    """The answer to one question. `names` are those of the fields of its body."""

    def __init__(
        self, job_id: str, model: str, names: FieldNames, *, has_tools: bool
    ) -> None:
        self._job_id = job_id
        self._model = model
        self._names = names
        self._reader = AnswerReader(has_tools=has_tools)
        self._n_blocks = 0
        self._open = ""  # the type of the block that is being streamed

    def complete(self, answer: Answer) -> dict[str, Any]:
        """The message of an answer that is not streamed."""
        content = [self._block(part) for part in self._reader.parts_of(answer)]
        end = self._end(answer) | _measured(answer)
        return self._message(content) | end | grounding(answer)

    async def stream(self, events: Events) -> AsyncIterator[str]:
        """The events of a streamed answer. A failure becomes an error event."""
        has_begun = False
        async for event in events:
            if not has_begun and not isinstance(event, Failed):
                has_begun = True
                yield self._start(event)
            for part in self._reader.read(event):
                for frame in self._frames(part):
                    yield frame
            match event:
                case Finished(answer):
                    for frame in self._close():
                        yield frame
                    delta = self._end(answer)
                    also = _measured(answer) | grounding(answer)
                    yield _frame("message_delta", delta=delta, **also)
                    yield _frame("message_stop")
                case Failed():
                    body = error_body(self._names.rename(event.error), PATH)
                    yield _frame(**body)
                case Accepted() | Queued() | Started() | Encoding() | Prefilling():
                    yield progress_comment(event)
                case Retried():
                    yield progress_comment(event)
                case None:
                    yield _frame("ping")

    def _start(self, event: Any) -> str:
        """The first frame; what the prompt costs, if that is known yet."""
        n_prompt = 0
        match event:
            case Accepted(prompt_tokens) | Started(prompt_tokens):
                n_prompt = prompt_tokens
            case Finished(answer):
                n_prompt = answer.usage.prompt_tokens
        usage = _usage(Usage(prompt_tokens=n_prompt))
        end = {"stop_reason": None, "stop_sequence": None, "usage": usage}
        return _frame("message_start", message=self._message([]) | end)

    def _block(self, part: Part) -> dict[str, Any]:
        match part:
            case Thoughts(text):
                return thinking_block(text)
            case Text(text):
                return {"type": "text", "text": text}
            case Call():
                return self._call(part) | {"input": part.arguments}

    def _frames(self, part: Found) -> Iterator[str]:
        match part:
            case Thoughts(text):
                if self._open != "thinking":
                    yield from self._begin(thinking_block(""))
                yield self._delta({"type": "thinking_delta", "thinking": text})
            case Text(text):
                if self._open != "text":
                    yield from self._begin({"type": "text", "text": ""})
                yield self._delta({"type": "text_delta", "text": text})
            case Called():
                yield from self._begin(self._call(part))
            case Arguments(_, text):
                yield self._delta({"type": "input_json_delta", "partial_json": text})

    def _begin(self, block: dict[str, Any]) -> Iterator[str]:
        yield from self._close()
        self._open = block["type"]
        yield _frame("content_block_start", index=self._n_blocks, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> str:
        return _frame("content_block_delta", index=self._n_blocks, delta=delta)

    def _close(self) -> Iterator[str]:
        if self._open:
            yield _frame("content_block_stop", index=self._n_blocks)
            self._open = ""
            self._n_blocks += 1

    def _call(self, call: Called | Call) -> dict[str, Any]:
        name = f"toolu_{self._job_id}_{call.index}"
        return {"type": "tool_use", "id": name, "name": call.name, "input": {}}

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_{self._job_id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
        }

    def _end(self, answer: Answer) -> dict[str, Any]:
        """Why the answer ended. One that was cut off in a call has not made it."""
        reason = "end_turn"
        if answer.finish_reason == "length":
            reason = "max_tokens"
        elif answer.stop:
            reason = "stop_sequence"
        elif self._reader.n_calls:
            reason = "tool_use"
        return {"stop_reason": reason, "stop_sequence": answer.stop or None}


def thinking_block(text: str) -> dict[str, Any]:
    """Thoughts; the signature, by which Anthropic knows its own, is empty."""
    return {"type": "thinking", "thinking": text, "signature": ""}


def _measured(answer: Answer) -> dict[str, Any]:
    """The usage, and of how many pictures only the first frame or page was read."""
    return {"usage": _usage(answer.usage), "first_only_pictures": answer.n_first}


def _usage(usage: Usage) -> dict[str, Any]:
    """Anthropic counts the cached tokens beside the other tokens of a prompt."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _frame(type: str, **fields: Any) -> str:
    body = json.dumps({"type": type} | fields, ensure_ascii=False)
    return f"event: {type}\ndata: {body}\n\n"

"""An answer in the form of Ollama's API: an object, or a stream of one on each line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
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
from edge.qwen3vl.call_reader import Text, Thoughts
from edge.request import Answer
from ui.answer_reader import AnswerReader, Call, Part
from ui.error_shape import error_body
from ui.event_streams import Events
from ui.field_names import FieldNames
from ui.progress import stage


class OllamaReply:
    """The answer to one question to `model`, by the name that the client used; `names`
    are those of the fields of its body. Without `is_chat` it is that to a prompt."""

    def __init__(
        self, model: str, names: FieldNames, *, is_chat: bool, has_tools: bool
    ) -> None:
        self._model = model
        self._names = names
        self._is_chat = is_chat
        self._reader = AnswerReader(has_tools=has_tools)

    def complete(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        return self._chunk(self._reader.parts_of(answer)) | _end(answer)

    def loaded(self, *, stays: bool) -> dict[str, Any]:
        """The answer where nothing is asked: models are always loaded here."""
        end = {"done": True, "done_reason": "load" if stays else "unload"}
        return self._chunk([]) | end

    async def stream(self, events: Events) -> AsyncIterator[str]:
        """The lines of a streamed answer. A failure becomes a line with `error`; a
        quiet second or a step of progress one without text."""
        async for event in events:
            parts = self._reader.read_calls(event)
            match event:
                case Finished(answer):
                    if parts:
                        yield _line(self._chunk(parts))
                    yield _line(self._chunk([]) | _end(answer))
                case Failed():
                    yield _line(error_body(self._names.rename(event.error), "/api/"))
                case Accepted() | Queued() | Started() | Encoding() | Prefilling():
                    yield _line(self._chunk([]) | {"progress": stage(event)})
                case Retried():
                    yield _line(self._chunk([]) | {"progress": stage(event)})
                case None:
                    yield _line(self._chunk([]))
                case _ if parts:
                    yield _line(self._chunk(parts))

    def _chunk(self, parts: Sequence[Part]) -> dict[str, Any]:
        text = "".join(part.text for part in parts if isinstance(part, Text))
        thoughts = "".join(part.text for part in parts if isinstance(part, Thoughts))
        said: dict[str, Any] = {"content" if self._is_chat else "response": text}
        if thoughts:
            said["thinking"] = thoughts
        if self._is_chat:
            if calls := [_call(part) for part in parts if isinstance(part, Call)]:
                said["tool_calls"] = calls
            said = {"message": {"role": "assistant"} | said}
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {"model": self._model, "created_at": now, **said, "done": False}


def _call(call: Call) -> dict[str, Any]:
    function = {"index": call.index, "name": call.name, "arguments": call.arguments}
    return {"function": function}


def _end(answer: Answer) -> dict[str, Any]:
    """Durations are in nanoseconds; that of the prompt includes its pictures. Of
    `first_only_pictures` pictures only the first frame or page was read."""
    times = answer.timings
    return {
        "done": True,
        "done_reason": answer.finish_reason,
        "total_duration": _ns(times.e2e_ms),
        "load_duration": 0,
        "prompt_eval_count": answer.usage.prompt_tokens,
        "prompt_eval_duration": _ns(times.embed_ms + times.prefill_ms),
        "eval_count": answer.usage.completion_tokens,
        "eval_duration": _ns(times.e2e_ms - times.ttft_ms),
        "first_only_pictures": answer.n_first,
    }


def _ns(ms: float) -> int:
    return round(ms * 1_000_000)


def _line(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False) + "\n"

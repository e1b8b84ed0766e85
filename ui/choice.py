"""One choice of a chat completion: its message, or the deltas of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.events import Finished, Retried, Token
from edge.qwen3vl.call_reader import Arguments, Called, Found, Text, Thoughts
from edge.request import Answer
from ui.answer_reader import AnswerReader
from ui.grounding import grounding
from ui.openai.logprobs import logprobs_object


class Choice:
    """Number `index` of the choices of a reply, whose calls of functions, if the answer
    `has_tools`, have ids that begin with `name`. Its client has the first `skip`
    characters already."""

    def __init__(
        self, index: int, name: str, *, has_tools: bool, skip: int = 0
    ) -> None:
        self.index = index
        self._name = name
        self._reader = AnswerReader(has_tools=has_tools, skip=skip)

    @property
    def n_read(self) -> int:
        """How many characters the answer has so far."""
        return self._reader.n_read

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The choice with a message, of which nothing was read before."""
        found = self._reader.read(Finished(answer))
        text = "".join(part.text for part in found if isinstance(part, Text))
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if thoughts := "".join(p.text for p in found if isinstance(p, Thoughts)):
            message["reasoning_content"] = thoughts
        if calls := self._calls(found):
            message |= {"content": text or None, "tool_calls": calls}
        tokens = answer.logprobs
        return {
            "index": self.index,
            "message": message | {"refusal": None},
            "logprobs": None if tokens is None else logprobs_object(tokens),
            "finish_reason": self._finish_reason(answer),
        } | grounding(answer)

    def begin(self) -> Iterator[dict[str, Any]]:
        """The choice of the chunk before all events."""
        yield self._chunk({"role": "assistant", "content": ""})

    def read(self, event: Token | Finished | Retried) -> Iterator[dict[str, Any]]:
        """The choice of each chunk that an event gives. The logprobs are those of all
        tokens, also of calls."""
        found = self._reader.read(event)
        new = self._reader.logprobs
        for delta in [*self._deltas(found)] or ([{}] if new else []):
            logprobs = {"logprobs": logprobs_object(new)} if new else {}
            yield self._chunk(delta) | logprobs
            new = ()
        if isinstance(event, Finished):
            end = self._chunk({}, self._finish_reason(event.answer))
            yield end | grounding(event.answer)

    def _deltas(self, found: list[Found]) -> Iterator[dict[str, Any]]:
        for part in found:
            match part:
                case Thoughts(text):
                    yield {"reasoning_content": text}
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
            "id": f"call_{self._name}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }

    def _chunk(
        self, delta: dict[str, Any], finish_reason: str | None = None
    ) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "finish_reason": finish_reason}

    def _finish_reason(self, answer: Answer) -> str:
        """An answer that was cut off in a call has not made it."""
        is_whole = answer.finish_reason == "stop"
        has_calls = self._reader.n_calls > 0
        return "tool_calls" if is_whole and has_calls else answer.finish_reason

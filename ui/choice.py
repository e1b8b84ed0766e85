"""One choice of a chat completion: its message, or the deltas of its stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edge.events import Finished, Retried, Token
from edge.logprobs import TokenLogprob
from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    Found,
    PartReader,
    Text,
    Thoughts,
)
from edge.qwen3vl.thoughts import OPENED
from edge.request import Answer
from ui.grounding import grounding
from ui.openai.logprobs import logprobs_object


class Choice:
    """Number `index` of the choices of a reply, whose calls of functions, if the answer
    `has_tools`, have ids that begin with `name`. Its client has the first `skip`
    characters already."""

    def __init__(
        self, index: int, name: str, *, has_tools: bool, skip: int = 0
    ) -> None:
        self.n_read = 0  # characters of the answer
        self.index = index
        self._name = name
        self._has_tools = has_tools
        self._skip = skip
        self._begin()

    def _begin(self) -> None:
        self.n_read = 0
        self._n_known_bytes = 0  # of the text that the client has
        self._n_tokens = self._n_token_bytes = 0  # of the tokens with logprobs
        self._reader = PartReader(has_tools=self._has_tools)

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The choice with a message, of which nothing was read before."""
        found = [*self._reader.feed(answer.text), *self._reader.end()]
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

    def first(self) -> dict[str, Any]:
        """The choice of the first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def read(self, event: Token | Finished | Retried) -> Iterator[dict[str, Any]]:
        """The choice of each chunk that an event gives."""
        match event:
            case Token(text, tokens):
                yield from self._chunks(self._feed(text), tokens)
            case Finished(answer):  # also what no event brought: it may be a known one
                rest = self._feed(answer.text[self.n_read :])
                tokens = (answer.logprobs or ())[self._n_tokens :]
                yield from self._chunks([*rest, *self._reader.end()], tokens)
                yield self._chunk({}, self._finish_reason(answer)) | grounding(answer)
            case Retried():  # a client gets no text twice
                self._skip = max(self._skip, self.n_read)
                self._begin()

    def _feed(self, text: str) -> list[Found]:
        if self.n_read == 0 and text.startswith(OPENED):  # no token of the answer
            self._n_token_bytes = len(OPENED)
        known = text[: max(0, self._skip - self.n_read)]
        self._reader.feed(known)
        self._n_known_bytes += len(known.encode())
        self.n_read += len(text)
        return self._reader.feed(text[len(known) :])

    def _chunks(
        self, found: list[Found], tokens: Iterable[TokenLogprob]
    ) -> Iterator[dict[str, Any]]:
        """The logprobs are those of all tokens, also of calls."""
        new = [*self._unknown(tokens)]
        deltas = [*self._deltas(found)] or ([{}] if new else [])
        for delta in deltas:
            logprobs = {"logprobs": logprobs_object(new)} if new else {}
            yield self._chunk(delta) | logprobs
            new = []

    def _unknown(self, tokens: Iterable[TokenLogprob]) -> Iterator[TokenLogprob]:
        """Those that begin behind the text that the client has."""
        for one in tokens:
            if self._n_token_bytes >= self._n_known_bytes:
                yield one
            self._n_tokens += 1
            self._n_token_bytes += len(one.token)

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

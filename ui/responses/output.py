"""The items of a response while it is being written, and the events that tell of them.

Each event is told without its `sequence_number`, which `stream` adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edge.logprobs import TokenLogprob
from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    Found,
    PartReader,
    Text,
    Thoughts,
)
from ui.openai.logprobs import logprob_object
from ui.responses.token_texts import TokenTexts

Event = dict[str, Any]


class Output:
    """The output of the job `job_id`. Its answer may hold calls if it `has_tools`.

    Log probabilities are told of the tokens of messages only.
    """

    def __init__(self, job_id: str, *, has_tools: bool) -> None:
        self.items: list[dict[str, Any]] = []
        self._job_id = job_id
        self._reader = PartReader(has_tools=has_tools)
        self._is_open = False
        self._texts = TokenTexts()
        self._untold: list[TokenLogprob] = []

    def feed(self, text: str, tokens: Iterable[TokenLogprob] = ()) -> Iterator[Event]:
        """The events of more text of the answer, and of the tokens that begin in it."""
        for piece, token in self._texts.split(text, tokens):
            self._untold += [token] if token else []
            yield from self._read(self._reader.feed(piece))

    def end(self, *, is_whole: bool) -> Iterator[Event]:
        """The events of the end of the answer, which `is_whole` or was cut off."""
        yield from self._read(self._reader.end())
        if not self.items:
            yield from self._begin(self._message())
        yield from self._close("completed" if is_whole else "incomplete")

    def _read(self, found: list[Found]) -> Iterator[Event]:
        for part in found:
            match part:
                case Thoughts(text):
                    yield from self._write(self._reasoning(), text)
                case Text(text):
                    yield from self._write(self._message(), text)
                case Called(_, name):
                    yield from self._close()
                    yield from self._begin(self._call(name))
                case Arguments(_, text) if text:
                    self.items[-1]["arguments"] += text
                    yield self._event("function_call_arguments.delta", delta=text)

    def _write(self, new: dict[str, Any], text: str) -> Iterator[Event]:
        """More text in the item that is being written, or in this new one if that is
        of another type."""
        if not (self._is_open and self.items[-1]["type"] == new["type"]):
            yield from self._close()
            yield from self._begin(new)
            self._skip_to(text)
        [part] = self.items[-1]["content"]
        part["text"] += text
        more: dict[str, Any] = {}
        if part["type"] == "output_text":
            more["logprobs"] = list(map(logprob_object, self._untold))
            part["logprobs"] += more["logprobs"]
        self._untold.clear()
        yield self._text_event("delta", delta=text, **more)

    def _skip_to(self, text: str) -> None:
        """Leaves out the tokens before those of `text`, which has just been read: marks
        of thoughts and calls, and white space around them."""
        n_before = sum(len(one.token) for one in self._untold) - len(text.encode())
        while self._untold and n_before >= len(self._untold[0].token):
            n_before -= len(self._untold.pop(0).token)

    def _begin(self, item: dict[str, Any]) -> Iterator[Event]:
        self.items.append(item)
        self._is_open = True
        if "content" in item:
            yield self._item_event("output_item.added", item | {"content": []})
            yield self._part_event("content_part.added")
        else:
            yield self._item_event("output_item.added", item)

    def _close(self, status: str = "completed") -> Iterator[Event]:
        """Ends the item that is being written, if there is one."""
        if not self._is_open:
            return
        self._is_open = False
        item = self.items[-1]
        item["status"] = status
        if "content" in item:
            [part] = item["content"]
            done = {name: part[name] for name in ("text", "logprobs") if name in part}
            yield self._text_event("done", **done)
            yield self._part_event("content_part.done")
        else:
            called = {"name": item["name"], "arguments": item["arguments"]}
            yield self._event("function_call_arguments.done", **called)
        yield self._item_event("output_item.done", item)

    def _message(self) -> dict[str, Any]:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return {
            "id": f"msg_{self._job_id}_{len(self.items)}",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [part],
        }

    def _reasoning(self) -> dict[str, Any]:
        return {
            "id": f"rs_{self._job_id}_{len(self.items)}",
            "type": "reasoning",
            "status": "in_progress",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": ""}],
        }

    def _call(self, name: str) -> dict[str, Any]:
        at = f"{self._job_id}_{len(self.items)}"
        return {
            "id": f"fc_{at}",
            "type": "function_call",
            "call_id": f"call_{at}",
            "name": name,
            "arguments": "",
            "status": "in_progress",
        }

    def _event(self, kind: str, **fields: Any) -> Event:
        at = {"item_id": self.items[-1]["id"], "output_index": len(self.items) - 1}
        return {"type": f"response.{kind}"} | at | fields

    def _text_event(self, kind: str, **fields: Any) -> Event:
        """Of the text of an item, which is in its only part."""
        [part] = self.items[-1]["content"]
        return self._event(f"{part['type']}.{kind}", content_index=0, **fields)

    def _part_event(self, kind: str) -> Event:
        [part] = self.items[-1]["content"]
        return self._event(kind, content_index=0, part=dict(part))

    def _item_event(self, kind: str, item: dict[str, Any]) -> Event:
        index = {"output_index": len(self.items) - 1, "item": item}
        return {"type": f"response.{kind}"} | index

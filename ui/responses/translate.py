"""A body of the Responses API as one of /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ui.body import validate
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.responses.body import ResponsesBody, SchemaFormat
from ui.responses.items import CallItem, Item, MessageItem, Part, ResultItem

SAME = {"model", "stream", "parallel_tool_calls", "service_tier", "top_logprobs"}
NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "response_format.json_schema.schema": "text.format.schema",
    "reasoning_effort": "reasoning.effort",
}


def chat_body(
    body: ResponsesBody, items: Sequence[tuple[str, Item]], names: FieldNames
) -> ChatBody:
    """The same question. `items` are those of the conversation, each with the field
    that it comes from; `names` learns where the fields of the result come from.

    Raises InvalidRequest.
    """
    name_fields(names)
    chat = Chat(names)
    if body.instructions:
        chat.add("system", body.instructions, "instructions")
    for at, item in items:
        chat.add_item(item, at)
    given = dict(body.model_extra or {}) | body.model_dump(
        include=SAME, exclude_none=True
    )
    given |= {
        "messages": chat.messages,
        "max_tokens": body.max_output_tokens,
        "truncate": "auto" if body.truncation == "auto" else "off",
        "tools": [tool.chat_tool() for tool in body.tools],
        "tool_choice": body.tool_choice
        if isinstance(body.tool_choice, str)
        else body.tool_choice.chat_choice(),
        "response_format": _format(body),
        "reasoning_effort": body.reasoning.effort,
        "logprobs": body.has_logprobs,
    }
    for i in range(len(body.tools)):
        names.add(f"tools[{i}].function", f"tools[{i}]")
    return validate(ChatBody, given)


def name_fields(names: FieldNames) -> None:
    """Tells `names` what this API calls the fields of a chat body."""
    for chat_name, name in NAMES.items():
        names.add(chat_name, name)


def _format(body: ResponsesBody) -> dict[str, Any]:
    form = body.text.format
    if not isinstance(form, SchemaFormat):
        return {"type": form.type}
    schema = {"name": form.name, "schema": form.schema_}
    return {"type": form.type, "json_schema": schema}


class Chat:
    """Messages of a chat body, each of which knows where it comes from."""

    def __init__(self, names: FieldNames) -> None:
        self.messages: list[dict[str, Any]] = []
        self._names = names

    def add(
        self, role: str, content: str | Sequence[Part], sent_as: str, **more: Any
    ) -> None:
        at = f"messages[{len(self.messages)}].content"
        self._names.add(at, sent_as)
        parts: str | list[dict[str, Any]] = ""
        if isinstance(content, str):
            parts = content
        else:
            parts = [part.chat_part() for part in content]
            for j in range(len(parts)):
                detail = f"{sent_as}[{j}].detail"
                self._names.add(f"{at}[{j}].image_url.detail", detail)
                self._names.add(f"{at}[{j}].file", f"{sent_as}[{j}]")
        self.messages.append({"role": role, "content": parts} | more)

    def add_item(self, item: Item, at: str) -> None:
        """An item of the conversation, which is at `at`. A call belongs to the message
        before it, as in the answer that they were part of."""
        match item:
            case MessageItem():
                self.add(item.role, item.content, f"{at}.content")
            case CallItem():
                if not self.messages or self.messages[-1]["role"] != "assistant":
                    self.add("assistant", "", at)
                function = {"name": item.name, "arguments": item.arguments}
                calls = self.messages[-1].setdefault("tool_calls", [])
                here = f"messages[{len(self.messages) - 1}].tool_calls[{len(calls)}]"
                self._names.add(f"{here}.function", at)
                calls.append({"id": item.call_id, "function": function})
            case ResultItem():
                named = {"tool_call_id": item.call_id}
                self.add("tool", item.output, f"{at}.output", **named)

"""A body of the Messages API as one of /v1/chat/completions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pydantic import BaseModel

from ui.anthropic.body import MessagesBody
from ui.anthropic.content import (
    AssistantMessage,
    CallBlock,
    DocumentBlock,
    ImageBlock,
    ResultBlock,
    SystemBlock,
    TextBlock,
    UserMessage,
)
from ui.body import validate
from ui.field_names import FieldNames
from ui.openai.body import ChatBody

SAME = {"model", "max_tokens", "temperature", "top_p", "top_k", "stream", "cache"}


def chat_body(body: MessagesBody, names: FieldNames) -> ChatBody:
    """The same question; `names` learns where its fields come from. Raises
    InvalidRequest for one that is too large."""
    names.add("stop", "stop_sequences")
    chat = Chat(names)
    if body.system:
        chat.add("system", _text(body.system), "system")
    for i, message in enumerate(body.messages):
        at = f"messages[{i}]"
        if isinstance(message, UserMessage):
            chat.add_user(message, at)
        elif isinstance(message, AssistantMessage):
            chat.add_assistant(message, at)
        else:
            chat.add("system", _text(message.content), f"{at}.content")
    given = body.model_dump(include=SAME, exclude_none=True)
    given |= {"messages": chat.messages, "stop": body.stop_sequences}
    # as in Anthropic's API, the answer goes on from its beginning
    given["continue_final_message"] = body.messages[-1].role == "assistant"
    given["tools"] = [tool.chat_tool() for tool in body.tools]
    for i in range(len(body.tools)):
        names.add(f"tools[{i}].function", f"tools[{i}]")
        names.add(f"tools[{i}].function.parameters", f"tools[{i}].input_schema")
    if body.thinking.type in ("enabled", "disabled"):  # else the model decides
        given["enable_thinking"] = body.thinking.type == "enabled"
        names.add("enable_thinking", "thinking.type")
    if body.thinking.type == "enabled":
        given["thinking_budget"] = body.thinking.budget_tokens
        names.add("thinking_budget", "thinking.budget_tokens")
    if choice := body.tool_choice:
        given["tool_choice"] = choice.chat_choice()
        given["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    if body.format:
        schema = {"name": "answer", "schema": body.format.schema_}
        given["response_format"] = {"type": "json_schema", "json_schema": schema}
        field = "output_config.format" if body.output_config.format else "output_format"
        names.add("response_format", field)
        names.add("response_format.json_schema.schema", f"{field}.schema")
    return validate(ChatBody, given)


class Chat:
    """Messages of a chat body, each of which knows where it comes from."""

    def __init__(self, names: FieldNames) -> None:
        self.messages: list[dict[str, Any]] = []
        self._names = names

    def add(self, role: str, content: Any, sent_as: str, **more: Any) -> None:
        self._names.add(f"messages[{len(self.messages)}].content", sent_as)
        self.messages.append({"role": role, "content": content} | more)

    def add_user(self, message: UserMessage, at: str) -> None:
        """What calls gave has messages of its own."""
        if isinstance(message.content, str):
            self.add("user", message.content, f"{at}.content")
            return
        blocks = enumerate(message.content)
        for is_result, group in groupby(
            blocks, lambda item: isinstance(item[1], ResultBlock)
        ):
            if is_result:
                for j, block in group:
                    assert isinstance(block, ResultBlock)
                    self._add_result(block, f"{at}.content[{j}]")
            else:
                self._add_parts("user", group, f"{at}.content")

    def add_assistant(self, message: AssistantMessage, at: str) -> None:
        if isinstance(message.content, str):
            self.add("assistant", message.content, f"{at}.content")
            return
        texts: list[str] = []
        calls: list[dict[str, Any]] = []
        chat_at = f"messages[{len(self.messages)}].tool_calls"
        for j, block in enumerate(message.content):
            if isinstance(block, TextBlock):
                texts.append(block.text)
            elif isinstance(block, CallBlock):
                field = f"{chat_at}[{len(calls)}].function.arguments"
                self._names.add(field, f"{at}.content[{j}].input")
                written = json.dumps(block.input, ensure_ascii=False)
                function = {"name": block.name, "arguments": written}
                calls.append({"id": block.id, "function": function})
        self.add("assistant", "".join(texts), f"{at}.content", tool_calls=calls)

    def _add_result(self, result: ResultBlock, at: str) -> None:
        named = {"tool_call_id": result.tool_use_id}
        error = "Error: " if result.is_error else ""
        if isinstance(result.content, str):
            self.add("tool", error + result.content, f"{at}.content", **named)
        elif result.content:
            begun = [{"type": "text", "text": error}] if error else []
            self._add_parts(
                "tool", enumerate(result.content), f"{at}.content", begun, **named
            )
        else:
            self.add("tool", error, at, **named)

    def _add_parts(
        self,
        role: str,
        blocks: Iterable[tuple[int, BaseModel]],
        at: str,
        begun: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> None:
        """A message of texts and pictures; `begun` comes before them."""
        parts = [*begun]
        chat_at = f"messages[{len(self.messages)}].content"
        for j, block in blocks:
            here = f"{chat_at}[{len(parts)}]"
            self._names.add(here, f"{at}[{j}]")
            if isinstance(block, TextBlock):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                self._names.add(f"{here}.image_url", f"{at}[{j}].source")
                url = {"url": block.source.address}
                parts.append({"type": "image_url", "image_url": url})
            elif isinstance(block, DocumentBlock):
                self._names.add(f"{here}.file", f"{at}[{j}]")
                self._names.add(f"{here}.file.file_data", f"{at}[{j}].source")
                parts.append(block.chat_part())
        self.add(role, parts, at, **more)


def _text(content: str | Sequence[SystemBlock]) -> Any:
    """The content of a system message."""
    if isinstance(content, str):
        return content
    return [{"type": "text", "text": block.text} for block in content] or ""

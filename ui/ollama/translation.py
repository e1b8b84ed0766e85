"""A body of Ollama's API as one of /v1/chat/completions."""

from __future__ import annotations

import json
from typing import Any

from edge.errors import UnsupportedParameter
from ui.body import validate
from ui.field_names import FieldNames
from ui.ollama.body import (
    PICTURES,
    PICTURES_OF_PROMPT,
    REFUSED,
    REFUSED_OPTIONS,
    REFUSED_PROMPT,
    Message,
    OllamaBody,
    OllamaChat,
    OllamaPrompt,
    Options,
)
from ui.openai.body import ChatBody
from ui.openai.misplaced import refuse

PENALTIES = {"repeat_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}


class NothingAsked(Exception):
    """Raised for a body without a question, which asks to load a model, or not to keep
    it: `stays` says which."""

    def __init__(self, model: str, *, stays: bool) -> None:
        super().__init__()
        self.model = model
        self.stays = stays


def chat_of(body: OllamaBody, names: FieldNames) -> ChatBody:
    """The same question; `names` learns where its fields come from.

    Raises NothingAsked, UnsupportedParameter for a field that would be ignored,
    InvalidRequest for one that is wrong.
    """
    if isinstance(body, OllamaPrompt):
        refuse(body, REFUSED_PROMPT, PICTURES_OF_PROMPT)
        sent, tools = body.messages, []
    else:
        assert isinstance(body, OllamaChat)
        refuse(body, REFUSED, PICTURES)
        sent, tools = body.messages, body.tools
    if not sent:
        raise NothingAsked(body.model, stays=body.keep_alive not in (0, "0"))
    given = _sampling(body.options, names) | {"model": body.model, "cache": body.cache}
    given |= _thinking(body.think)
    given |= {"stream": body.stream, "tools": [_tool(tool) for tool in tools]}
    given["messages"] = [
        _message(message, f"messages[{i}]", names) for i, message in enumerate(sent)
    ]
    if isinstance(body, OllamaPrompt):
        _name_prompt(sent, names)
    if body.format == "json":
        given["response_format"] = {"type": "json_object"}
    elif body.format:
        schema = {"name": "answer", "schema": body.format}
        given["response_format"] = {"type": "json_schema", "json_schema": schema}
    names.add("reasoning_effort", "think")
    names.add("enable_thinking", "think")
    names.add("response_format", "format")
    names.add("response_format.json_schema.schema", "format")
    return validate(ChatBody, given)


def _name_prompt(sent: list[Message], names: FieldNames) -> None:
    """A prompt has no messages."""
    last = f"messages[{len(sent) - 1}]"
    if len(sent) > 1:
        names.add("messages[0].content", "system")
    names.add(f"{last}.content", "prompt")
    for j in range(len(sent[-1].images)):
        names.add(f"{last}.content[{j}].image_url", f"images[{j}]")
    if sent[-1].images:
        names.add(f"{last}.content[{len(sent[-1].images)}]", "prompt")


def _thinking(think: bool | str | None) -> dict[str, Any]:
    """None: as the model does by itself."""
    if isinstance(think, str):
        return {"reasoning_effort": think}
    return {} if think is None else {"enable_thinking": think}


def _sampling(options: Options, names: FieldNames) -> dict[str, Any]:
    """The fields of a chat body. All but `num_predict` have the same names there."""
    for name in (*Options.model_fields, *REFUSED_OPTIONS):
        names.add(name, f"options.{name}")
    names.add("max_tokens", "options.num_predict")
    refuse(options, REFUSED_OPTIONS)
    # no others: they might be fields of a chat body that mean something else
    given = options.model_dump(include=set(Options.model_fields), exclude_unset=True)
    n_tokens = given.pop("num_predict", -1)
    window = given.pop("repeat_last_n", None)
    if window is not None and any(
        given.get(name, neutral) != neutral for name, neutral in PENALTIES.items()
    ):
        raise UnsupportedParameter(
            "repeat_last_n is not supported by this server, whose penalties look back "
            "on a fixed number of tokens. Leave it out.",
            param="repeat_last_n",
        )
    if n_tokens not in (-1, -2):  # as many as there may be
        given["max_tokens"] = n_tokens
    return given


def _message(message: Message, at: str, names: FieldNames) -> dict[str, Any]:
    """Pictures come before the text, as Ollama puts them into the prompt."""
    if message.images and message.role not in ("user", "tool"):
        raise UnsupportedParameter(
            f"{at}.images would not be looked at. Send pictures in a message of the "
            "user or of a tool.",
            param=f"{at}.images",
        )
    parts: list[dict[str, Any]] = []
    for j, image in enumerate(message.images):
        names.add(f"{at}.content[{j}].image_url", f"{at}.images[{j}]")
        parts.append({"type": "image_url", "image_url": {"url": _address(image)}})
    if not parts:
        found: dict[str, Any] = {"role": message.role, "content": message.content}
    else:
        names.add(f"{at}.content[{len(parts)}]", f"{at}.content")
        text = [{"type": "text", "text": message.content}] if message.content else []
        found = {"role": message.role, "content": parts + text}
    if message.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "function": {
                    "name": call.function.name,
                    "arguments": json.dumps(
                        call.function.arguments, ensure_ascii=False
                    ),
                },
            }
            for call in message.tool_calls
        ]
    return found


def _address(image: str) -> str:
    """A data URL of base64; what is one already stays."""
    return image if ":" in image[:20] else f"data:;base64,{image}"


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function"} | tool

"""The bodies of POST /api/chat and POST /api/generate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edge.cache_use import CacheUse
from ui.openai.body import Stop
from ui.openai.values import Body, Caching, LongText, Name, Text

_LEAVE_OUT = "Leave it out."
# Fields with which another answer is asked for.
REFUSED = {
    "logprobs": _LEAVE_OUT,
    "top_logprobs": _LEAVE_OUT,
    "max_tokens": "Use options.num_predict.",
    "response_format": "Use format.",
    "stop": "Use options.stop.",
    "temperature": "Use options.temperature.",
    "tool_choice": _LEAVE_OUT,
}
REFUSED_PROMPT = REFUSED | {
    "context": "Send the conversation to /api/chat.",
    "messages": "Send messages to /api/chat.",
    "raw": _LEAVE_OUT,
    "suffix": _LEAVE_OUT,
    "template": _LEAVE_OUT,
    "tools": "Send them to /api/chat.",
}
REFUSED_OPTIONS = {
    "mirostat": _LEAVE_OUT,
    "tfs_z": _LEAVE_OUT,
    "typical_p": _LEAVE_OUT,
}
PICTURES = 'Put pictures, in base64, into a message: {"images": ["..."]}.'
PICTURES_OF_PROMPT = 'Put pictures, in base64, into images: ["..."].'

Pictures = Annotated[list[LongText], Field(max_length=1000)]
Number = int | float


class Options(Body):
    """How tokens are chosen, with the values of a chat body. What Ollama loads a model
    with (`num_ctx`, `num_gpu` and others) is not for a client to choose here."""

    num_predict: int | None = None
    repeat_last_n: int | None = None
    stop: Stop = Field(default=[])
    temperature: Number | None = None
    top_k: Number | None = None
    top_p: Number | None = None
    min_p: Number | None = None
    seed: int | None = None
    repeat_penalty: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None


class CalledFunction(Body):
    name: Name
    arguments: dict[str, Any] = Field(default={})


class ToolCall(Body):
    id: Annotated[str, Field(max_length=200)] = ""
    function: CalledFunction


class Message(Body):
    role: Literal["system", "user", "assistant", "tool"]
    content: LongText = ""
    images: Pictures = Field(default=[])
    thinking: Text = ""  # of an earlier answer: it never becomes part of a prompt again
    tool_calls: list[ToolCall] = Field(default=[], max_length=128, fail_fast=True)
    tool_name: Text = ""


class OllamaBody(Body):
    """What both have in common."""

    model: Annotated[str, Field(max_length=1000)] = ""
    stream: bool = True
    options: Options = Options()
    format: dict[str, Any] | Literal["", "json"] = ""
    think: bool | Literal["low", "medium", "high"] | None = None
    keep_alive: Number | Annotated[str, Field(max_length=100)] = ""
    cache: Caching = CacheUse.DEFAULT  # not Ollama's, as in a chat body


class OllamaChat(OllamaBody):
    messages: list[Message] = Field(default=[], max_length=1000, fail_fast=True)
    tools: list[dict[str, Any]] = Field(default=[], max_length=128, fail_fast=True)


class OllamaPrompt(OllamaBody):
    prompt: LongText = ""
    system: Text = ""
    images: Pictures = Field(default=[])

    @property
    def messages(self) -> list[Message]:
        """The conversation that the prompt stands for; empty where nothing is asked."""
        found = [Message(role="system", content=self.system)] if self.system else []
        if self.prompt or self.images:
            found.append(Message(role="user", content=self.prompt, images=self.images))
        return found

"""The body of POST /v1/messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edge.cache_use import CacheUse
from ui.anthropic.content import System, Turn
from ui.anthropic.tools import Choice, Tools
from ui.openai.body import MOST_STOPS, Word
from ui.openai.misplaced import refuse
from ui.openai.values import Body, Caching, Count

PICTURES = (
    'Put pictures into a message\'s content: {"type": "image", "source": {"type": '
    '"base64", "media_type": "image/png", "data": "..."}}.'
)
_LEAVE_OUT = "Leave it out."
# Fields with which another answer is asked for.
REFUSED = {
    "container": _LEAVE_OUT,
    "context_management": _LEAVE_OUT,
    "mcp_servers": "Use tools.",
    "frequency_penalty": _LEAVE_OUT,
    "logprobs": _LEAVE_OUT,
    "presence_penalty": _LEAVE_OUT,
    "seed": _LEAVE_OUT,
    "functions": "Use tools.",
    "max_completion_tokens": "Use max_tokens.",
    "max_tokens_to_sample": "Use max_tokens.",
    "n": _LEAVE_OUT,
    "per_page": "Use /v1/chat/completions for it.",
    "response_format": "Use output_config.format.",
    "stop": "Use stop_sequences.",
}


class Format(Body):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Body):
    format: Format | None = None


class Thinking(Body):
    """Whether a model that thinks does so, and with how many tokens at most."""

    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: Count | None = None


class MessagesBody(Body):
    messages: list[Turn] = Field(min_length=1, max_length=1000, fail_fast=True)
    model: Annotated[str, Field(max_length=1000)] = ""
    max_tokens: Count | None = None
    system: System = ""
    stream: bool = False
    stop_sequences: list[Word] = Field([], max_length=MOST_STOPS)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    tools: Tools = Field([])
    tool_choice: Choice | None = None
    output_config: OutputConfig = OutputConfig()
    output_format: Format | None = None  # the older field
    thinking: Thinking = Thinking(type="disabled")
    cache: Caching = CacheUse.DEFAULT  # not Anthropic's, as in a chat body

    def refuse_unsupported(self) -> None:
        """Raises UnsupportedParameter for the first field on which the client relies
        and which this server would ignore."""
        refuse(self, REFUSED, PICTURES)

    @property
    def format(self) -> Format | None:
        return self.output_config.format or self.output_format

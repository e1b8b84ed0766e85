"""The tools of a body, and which of them an answer may or must call."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ui.openai.tools import MOST_TOOLS
from ui.openai.values import Body, Name, Text


class Tool(Body):
    """A function of the client. The tools that Anthropic runs, or has written into its
    models, have other types."""

    type: Literal["custom"] = "custom"
    name: Name
    description: Text = ""
    input_schema: dict[str, Any]
    strict: bool = False

    def chat_tool(self) -> dict[str, Any]:
        """The tool of a chat body."""
        function: dict[str, Any] = {"name": self.name, "parameters": self.input_schema}
        if self.description:
            function["description"] = self.description
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}


Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS, fail_fast=True)]


class AnyChoice(Body):
    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool = False

    def chat_choice(self) -> Any:
        """The tool_choice of a chat body."""
        return "required" if self.type == "any" else self.type


class NamedChoice(Body):
    type: Literal["tool"]
    name: Name
    disable_parallel_tool_use: bool = False

    def chat_choice(self) -> Any:
        """See `AnyChoice.chat_choice`."""
        return {"type": "function", "function": {"name": self.name}}


Choice = Annotated[AnyChoice | NamedChoice, Field(discriminator="type")]

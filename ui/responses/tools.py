"""The functions that a response may call."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edge.errors import UnsupportedParameter
from ui.openai.tools import MOST_TOOLS
from ui.openai.values import Body, Name, Text


class Tool(Body):
    type: Literal["function"]
    name: Name
    description: Text = ""
    parameters: dict[str, Any] = Field({})
    strict: bool = False

    def chat_tool(self) -> dict[str, Any]:
        """The tool of a chat body."""
        fields = {"name", "description", "parameters", "strict"}
        function = self.model_dump(include=fields, exclude_unset=True)
        return {"type": "function", "function": function}


def _functions(value: Any) -> Any:
    """Raises UnsupportedParameter for tools that OpenAI runs."""
    for i, tool in enumerate(value if isinstance(value, list) else []):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind != "function":
            raise UnsupportedParameter(
                f"Tools of type {kind[:80]!r} are not run here, only functions of the "
                "client.",
                param=f"tools[{i}].type",
            )
    return value


Tools = Annotated[
    list[Tool],
    Field(max_length=MOST_TOOLS, fail_fast=True),
    BeforeValidator(_functions),
]


class NamedChoice(Body):
    type: Literal["function"]
    name: Name

    def chat_choice(self) -> Any:
        """The tool_choice of a chat body."""
        return {"type": "function", "function": {"name": self.name}}


class AllowedChoice(Body):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1, max_length=MOST_TOOLS)]

    def chat_choice(self) -> Any:
        """See `NamedChoice.chat_choice`."""
        tools = [tool.chat_choice() for tool in self.tools]
        allowed = {"mode": self.mode, "tools": tools}
        return {"type": "allowed_tools", "allowed_tools": allowed}


Choice = (
    Literal["none", "auto", "required"]
    | Annotated[NamedChoice | AllowedChoice, Field(discriminator="type")]
)

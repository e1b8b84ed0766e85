"""The functions that an answer may call."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from edge.errors import InvalidRequest
from edge.qwen3vl import tools as qwen
from edge.schemas.bounds import MAX_RESULT
from edge.schemas.reading import read
from ui.openai.formats import ANY_OBJECT
from ui.openai.values import MOST_TEXT, Body, Name, Text

MOST_TOOLS = 128


class Function(Body):
    name: Name
    description: Text = ""
    parameters: dict[str, Any] = Field({})
    strict: bool = False


class Tool(Body):
    type: Literal["function"]
    function: Function

    def offered(self) -> dict[str, Any]:
        """The tool as the prompt shows it."""
        return self.model_dump(exclude_unset=True)

    def callable(self, at: str) -> qwen.Function:
        """The function, with the schema of its arguments.

        Raises InvalidRequest when that is strict and cannot be enforced. Otherwise the
        arguments are any object then: only `strict` promises that they fit.
        """
        schema = {**ANY_OBJECT, **self.function.parameters}
        try:
            found = read(schema, f"{at}.function.parameters")
        except InvalidRequest:
            if self.function.strict:
                raise
            found = read(ANY_OBJECT)
        return qwen.Function(self.function.name, found)


Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS, fail_fast=True)]


class CalledFunction(Body):
    name: Name
    arguments: Text = "{}"


class ToolCall(Body):
    """A call in an earlier answer."""

    id: Annotated[str, Field(max_length=200)] = ""
    type: Literal["function"] = "function"
    function: CalledFunction

    @property
    def written(self) -> tuple[str, str]:
        """Name and arguments; the latter are JSON, or a string that holds something
        else, or JSON that is nested too deep for Python."""
        arguments = self.function.arguments or "{}"
        try:
            json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = json.dumps(arguments)
        return self.function.name, arguments


class NamedFunction(Body):
    name: Name


class NamedChoice(Body):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1, max_length=MOST_TOOLS)]


class AllowedChoice(Body):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


Choice = (
    Literal["none", "auto", "required"]
    | Annotated[NamedChoice | AllowedChoice, Field(discriminator="type")]
)


class Offer:
    """The tools that an answer may call, by `tools` and `tool_choice` of a body. False
    where there are none.

    Raises InvalidRequest for a choice that is not among the tools.
    """

    def __init__(self, tools: list[Tool], choice: Choice, several: bool) -> None:
        names = [tool.function.name for tool in tools]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidRequest(
                f"Two tools have the name {twice.pop()!r}. Give each its own.",
                param="tools",
            )
        self.must_call = choice not in ("none", "auto")
        self._one_call = not several
        wanted = names
        if isinstance(choice, NamedChoice):
            wanted = [choice.function.name]
            self._one_call = True
        elif isinstance(choice, AllowedChoice):
            wanted = [item.function.name for item in choice.allowed_tools.tools]
            self.must_call = choice.allowed_tools.mode == "required"
        if unknown := set(wanted) - set(names):
            raise InvalidRequest(
                f"tool_choice names {unknown.pop()!r}, which is not among the tools.",
                param="tool_choice",
            )
        if self.must_call and not tools:
            raise InvalidRequest(
                "tool_choice asks for a call, and there are no tools. Send tools, or "
                "leave tool_choice out.",
                param="tool_choice",
            )
        offered = [] if choice == "none" else tools
        # counted before the schemas are read, each of which has bounds of its own
        n_characters = sum(len(json.dumps(tool.offered())) for tool in offered)
        if n_characters > MOST_TEXT:
            raise InvalidRequest(
                f"The tools have {n_characters:,} characters in all; {MOST_TEXT:,} are "
                "allowed. Send fewer.",
                param="tools",
            )
        self._tools = offered
        self._callable: list[qwen.Function] = []
        n_written = 0
        for i, tool in enumerate(offered):
            if tool.function.name in wanted:
                function = tool.callable(f"tools[{i}]")
                self._callable.append(function)
                n_written += len(function.schema)
                _check_written(n_written)

    def __bool__(self) -> bool:
        return bool(self._tools)

    def system_text(self, system: str) -> str:
        """The system message that offers the tools, after the client's own."""
        return qwen.system_text(system, [tool.offered() for tool in self._tools])

    def grammar(self, answer: str) -> str:
        """The grammar of an answer whose text fits the grammar `answer`, if any."""
        if answer and not answer.startswith("{") and not self.must_call:
            raise InvalidRequest(
                "Tools can be offered beside a JSON schema, not beside a grammar. "
                'Leave one out, or send tool_choice "none".',
                param="tools",
            )
        return qwen.grammar(
            self._callable,
            must_call=self.must_call,
            one_call=self._one_call,
            answer=answer,
        )


def _check_written(n_characters: int) -> None:
    """Patterns become longer when they are written out."""
    if n_characters > MAX_RESULT:
        raise InvalidRequest(
            f"The schemas of these tools take more than {MAX_RESULT:,} characters when "
            "they are written out. Send fewer, or use fewer classes in patterns.",
            param="tools",
        )

"""The form that a client wants its answer to have: as OpenAI's `response_format`, or in
the words of vLLM and llama-server. All become one grammar."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edge.errors import InvalidRequest
from edge.schemas.bounds import Place
from edge.schemas.pattern import whole_string
from edge.schemas.pattern_reader import UnreadablePattern
from edge.schemas.reading import read
from ui.openai.values import Body, Text
from ui.strict_json import check_text

# Fields of a body that give the answer a form.
FORMS = {
    "response_format",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "grammar",
    "tools",
}
MOST_GRAMMAR = 65_536  # characters
Grammar = Annotated[str, Field(min_length=1, max_length=MOST_GRAMMAR)]


def _schema(value: Any) -> Any:
    """A schema; some clients send it as a string that holds JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        check_text(value)
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


Schema = Annotated[dict[str, Any] | bool, BeforeValidator(_schema)]
Choices = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=1000)]],
    Field(min_length=1, max_length=500, fail_fast=True),
]
ANY_OBJECT = {"type": "object"}


class PlainFormat(Body):
    type: Literal["text"]

    def grammar(self) -> str:
        return ""


class JsonFormat(Body):
    """An object of any kind; or of this schema, as llama-server understands it."""

    type: Literal["json_object"]
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None

    def grammar(self) -> str:
        schema = ANY_OBJECT if self.schema_ is None else self.schema_
        return read(schema, "response_format.schema")


class NamedSchema(Body):
    name: Annotated[str, Field(max_length=200)] = ""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class SchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: NamedSchema

    def grammar(self) -> str:
        return read(self.json_schema.schema_)


ResponseFormat = Annotated[
    PlainFormat | JsonFormat | SchemaFormat, Field(discriminator="type")
]


class StructuredOutputs(Body):
    """vLLM's; one of these. Also what its older fields `guided_*` become."""

    json_: Annotated[Schema | None, Field(alias="json")] = None
    regex: Grammar | None = None
    choice: Choices | None = None
    grammar_: Annotated[Grammar | None, Field(alias="grammar")] = None
    json_object: bool = False
    structural_tag: Text | None = None

    def grammar(self, at: str = "structured_outputs") -> str:
        """Raises InvalidRequest for what cannot be enforced."""
        if self.structural_tag:
            raise InvalidRequest(
                "structural_tag is not supported. Send tools, or a grammar.",
                param=f"{at}.structural_tag",
            )
        if self.json_ is not None:
            return read(self.json_, f"{at}.json")
        if self.regex is not None:
            return _of_pattern(self.regex, f"{at}.regex")
        if self.choice is not None:
            return "start: " + " | ".join(map(quoted, dict.fromkeys(self.choice)))
        if self.grammar_ is not None:
            return self.grammar_
        return read(ANY_OBJECT) if self.json_object else ""


def quoted(text: str) -> str:
    """`text` as a literal in Lark's notation, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _of_pattern(pattern: str, at: str) -> str:
    """The grammar of the texts that `pattern` matches as a whole."""
    try:
        whole = whole_string(f"^(?:{pattern})$")
    except UnreadablePattern as error:
        raise Place(at).refusal(f"This regular expression {error}.") from None
    body = whole.removeprefix("^").removesuffix("$")
    return f"start: /{body}/"  # which holds no slash: each character is a number

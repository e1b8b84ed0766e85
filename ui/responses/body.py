"""The body of POST /v1/responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge.errors import InvalidRequest, UnsupportedParameter
from ui.openai.body import MOST_LIKELIEST, Tier
from ui.openai.misplaced import PICTURES, refuse_fields
from ui.openai.values import Body, Count, Text, whole
from ui.responses.items import Id, ImagePart, Input, items_of
from ui.responses.tools import Choice, Tools

_PICTURES = (
    "Put pictures into the content of a message: "
    '{"type": "input_image", "image_url": "data:image/png;base64,..."}.'
)
_LEAVE_OUT = "Leave it out."
# Fields of other APIs, or of tools that OpenAI runs.
REFUSED = {
    "messages": "Use input.",
    "max_tokens": "Use max_output_tokens.",
    "max_completion_tokens": "Use max_output_tokens.",
    "response_format": "Use text.format.",
    "functions": "Use tools.",
    "function_call": "Use tool_choice.",
    "n": _LEAVE_OUT,
    "logprobs": 'Use include: ["message.output_text.logprobs"].',
    "per_page": "Use /v1/chat/completions for it.",
    "add_generation_prompt": _LEAVE_OUT,
    "continue_final_message": _LEAVE_OUT,
    "truncate": "Use truncation.",
    "conversation": "Use previous_response_id.",
    "prompt": "Use instructions and input.",
    "context_management": "Use truncation.",
    "moderation": _LEAVE_OUT,
}
LOGPROBS = "message.output_text.logprobs"


class PlainFormat(Body):
    type: Literal["text"]


class JsonFormat(Body):
    type: Literal["json_object"]


class SchemaFormat(Body):
    type: Literal["json_schema"]
    name: Annotated[str, Field(max_length=200)] = ""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class TextConfig(Body):
    format: Annotated[
        PlainFormat | JsonFormat | SchemaFormat, Field(discriminator="type")
    ] = PlainFormat(type="text")
    verbosity: Literal["low", "medium", "high"] = "medium"


class Reasoning(Body):
    effort: Annotated[str, Field(max_length=20)] | None = None


class ResponsesBody(Body):
    """Other fields than these are those of /v1/chat/completions: `top_k`, `seed`,
    `stop` and so on."""

    input: Input
    model: Annotated[str, Field(max_length=1000)] = ""
    instructions: Text = ""
    max_output_tokens: Count | None = None
    stream: bool = False
    store: bool = True
    background: bool = False
    previous_response_id: Id | None = None
    text: TextConfig = TextConfig()
    tools: Tools = Field([])
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool = True
    truncation: Literal["auto", "disabled"] = "disabled"
    service_tier: Tier | None = None
    reasoning: Reasoning = Reasoning()
    include: list[Annotated[str, Field(max_length=100)]] = Field([], max_length=100)
    top_logprobs: Annotated[
        int, Field(ge=0, le=MOST_LIKELIEST), BeforeValidator(whole)
    ] = 0
    metadata: dict[
        Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]
    ] = Field({}, max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _of_this_api(cls, value: Any) -> Any:
        """Refuses before anything is missed."""
        refuse_fields(value, REFUSED)
        return value

    def refuse_unsupported(self) -> None:
        """Raises UnsupportedParameter for the first field on which the client relies
        and which this server would ignore, InvalidRequest for two that exclude one
        another."""
        if self.background and not self.store:
            raise InvalidRequest(
                "A response in the background is stored, or nobody could read it. Send "
                "store true, or leave background out.",
                param="store",
            )
        if self.text.verbosity != "medium":
            raise _unsupported("text.verbosity", _LEAVE_OUT)
        if self.top_logprobs and not self.has_logprobs:
            raise InvalidRequest(
                f'top_logprobs needs include: ["{LOGPROBS}"].', param="top_logprobs"
            )
        for place, fields in self._places():
            for name in PICTURES:
                if fields.get(name):
                    param = f"{place}.{name}" if place else name
                    raise UnsupportedParameter(
                        f"{param} would not be looked at. {_PICTURES}", param=param
                    )

    @property
    def has_logprobs(self) -> bool:
        """Whether the answer has log probabilities."""
        return LOGPROBS in self.include

    def _places(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The unknown fields of the body, its items, and the parts of these."""
        yield "", self.model_extra or {}
        for i, item in enumerate(items_of(self.input)):
            yield f"input[{i}]", item.model_extra or {}
            for field in ("content", "output"):
                parts = getattr(item, field, "")
                for j, part in enumerate(parts if isinstance(parts, list) else []):
                    at = f"input[{i}].{field}[{j}]"
                    yield at, part.model_extra or {}
                    if isinstance(part, ImagePart) and part.file_id:
                        raise _unsupported(f"{at}.file_id", "Send its image_url.")


def _unsupported(param: str, instead: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"{param} is not supported by this server. {instead}", param=param
    )

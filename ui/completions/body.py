"""The body of POST /v1/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge.errors import UnsupportedParameter
from ui.body import validate
from ui.field_names import FieldNames
from ui.openai.body import MOST_LIKELIEST, ChatBody
from ui.openai.misplaced import PICTURES, refuse_fields
from ui.openai.values import Body, LongText, whole

_LEAVE_OUT = "Leave it out."
_CHAT = "Ask /v1/chat/completions."
REFUSED = {
    "best_of": "Use n.",
    "top_logprobs": "Use logprobs, which is a number here.",
    "suffix": _LEAVE_OUT,
    "messages": _CHAT,
    "tools": _CHAT,
    "tool_choice": _CHAT,
    "continue_final_message": _LEAVE_OUT,
    "add_generation_prompt": _LEAVE_OUT,
    "truncate": _LEAVE_OUT,
    "prompt_embeds": "Use prompt.",
    **dict.fromkeys(PICTURES, _CHAT),
}


def _one(value: Any) -> Any:
    """The text in a list of one. Raises UnsupportedParameter for several, and for
    tokens."""
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str):
        return value[0]
    raise UnsupportedParameter(
        "Several prompts in one request, or a prompt of token numbers, are not "
        "supported. Send one text, and a request for each.",
        param="prompt",
    )


def _number(value: Any) -> Any:
    """False, which other APIs have here, as null."""
    return None if value is False else whole(value)


class CompletionBody(Body):
    """Other fields than these are those of /v1/chat/completions. `logprobs` is how many
    alternatives to each token are told."""

    prompt: Annotated[Annotated[LongText, Field(min_length=1)], BeforeValidator(_one)]
    echo: bool = False
    logprobs: Annotated[
        Annotated[int, Field(ge=0, le=MOST_LIKELIEST)] | None,
        BeforeValidator(
            _number,
            json_schema_input_type=Annotated[int, Field(ge=0, le=MOST_LIKELIEST)]
            | Literal[False]
            | None,
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _of_this_api(cls, value: Any) -> Any:
        """Refuses before anything is missed."""
        refuse_fields(value, REFUSED)
        return value

    @model_validator(mode="after")
    def _of_answers_only(self) -> CompletionBody:
        if self.echo and self.logprobs is not None:
            raise UnsupportedParameter(
                "logprobs are those of the answer: the tokens of a prompt have none "
                "here. Leave echo or logprobs out.",
                param="logprobs",
            )
        return self

    def chat_body(self, names: FieldNames) -> RawBody:
        """The body whose only message is the prompt; `names` learns where its fields
        come from. Raises InvalidRequest."""
        names.add("messages", "prompt")
        names.add("messages[0].content", "prompt")
        message = {"role": "user", "content": self.prompt}
        extra = self.model_extra or {}
        given = {name: extra[name] for name in extra.keys() - REFUSED.keys()}
        if self.logprobs is not None:
            given |= {"logprobs": True, "top_logprobs": self.logprobs}
        return validate(RawBody, given | {"messages": [message]})


class RawBody(ChatBody):
    """A prompt without a template."""

    is_raw: ClassVar = True

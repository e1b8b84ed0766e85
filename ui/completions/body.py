"""The body of POST /v1/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from edge.errors import UnsupportedParameter
from ui.body import validate
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.openai.misplaced import PICTURES, refuse_fields
from ui.openai.values import Body, LongText

_LEAVE_OUT = "Leave it out."
_CHAT = "Ask /v1/chat/completions."
REFUSED = {
    "best_of": _LEAVE_OUT,
    "logprobs": _CHAT,
    "top_logprobs": _CHAT,
    "n": _LEAVE_OUT,
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


class CompletionBody(Body):
    """Other fields than these are those of /v1/chat/completions."""

    prompt: Annotated[Annotated[LongText, Field(min_length=1)], BeforeValidator(_one)]
    echo: bool = False

    @model_validator(mode="before")
    @classmethod
    def _of_this_api(cls, value: Any) -> Any:
        """Refuses before anything is missed."""
        refuse_fields(value, REFUSED)
        return value

    def chat_body(self, names: FieldNames) -> RawBody:
        """The body whose only message is the prompt; `names` learns where its fields
        come from. Raises InvalidRequest."""
        names.add("messages", "prompt")
        names.add("messages[0].content", "prompt")
        message = {"role": "user", "content": self.prompt}
        extra = self.model_extra or {}
        given = {name: extra[name] for name in extra.keys() - REFUSED.keys()}
        return validate(RawBody, given | {"messages": [message]})


class RawBody(ChatBody):
    """A prompt without a template."""

    is_raw: ClassVar = True

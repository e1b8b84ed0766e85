"""The body of POST /v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from edge.errors import UnsupportedParameter
from edge.qwen3vl import embedding
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.openai.values import Count
from ui.prompts import MOST_PROMPTS, Input, Prompts, PromptsBody, refuse_unknown

_ONE_INPUT = 'Send input: a text, {"image": ...}, or a list of them.'
REFUSED: Final = {
    "messages": _ONE_INPUT,
    "prompt": _ONE_INPUT,
    "texts": _ONE_INPUT,
    "images": _ONE_INPUT,
    "input_type": "Use instruction.",
    "task": "Use instruction.",
    "truncate": "Send shorter inputs: none is cut here.",
    "truncate_prompt_tokens": "Send shorter inputs: none is cut here.",
    "output_dtype": "Numbers are float32.",
    "embedding_types": "Use encoding_format.",
    "output_dimension": "Use dimensions.",
}


def _as_list(value: Any) -> Any:
    """Several inputs. Raises UnsupportedParameter for numbers of tokens."""
    if not isinstance(value, list):
        return [value]
    first = value[0] if value else ""
    first = first[0] if isinstance(first, list) and first else first
    if isinstance(first, int):
        raise UnsupportedParameter(
            "Numbers of tokens are not read: those of another model mean other words. "
            "Send texts (in LangChain: check_embedding_ctx_length=False).",
            param="input",
        )
    return value


class EmbeddingsBody(PromptsBody):
    input: Annotated[
        list[Input],
        Field(min_length=1, max_length=MOST_PROMPTS, fail_fast=True),
        BeforeValidator(_as_list, json_schema_input_type=list[Input] | Input),
    ]
    instruction: Annotated[str, Field(max_length=4000)] = embedding.INSTRUCTION
    dimensions: Count | None = None
    encoding_format: Literal["float", "base64"] = "float"

    def chat_body(self, names: FieldNames) -> ChatBody:
        refuse_unknown(self, REFUSED)
        instruction = embedding.as_sentence(self.instruction)
        prompts = Prompts(instruction, names, embedding.EMPTY)
        prompts.begin("")
        for i, given in enumerate(self.input):
            prompts.add("", given, f"input[{i}]")
        return prompts.body(self)

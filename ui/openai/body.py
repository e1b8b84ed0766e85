"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Discriminator,
    Field,
    model_validator,
)

from edge.cache_use import CacheUse
from edge.errors import InvalidRequest, UnsupportedParameter
from edge.request import SamplingParams
from edge.schemas.reading import read
from ui.openai.formats import (
    Choices,
    Grammar,
    ResponseFormat,
    Schema,
    StructuredOutputs,
)
from ui.openai.messages import AssistantMessage, ChatMessage
from ui.openai.misplaced import refuse, refuse_other_api
from ui.openai.thinking import Thinking
from ui.openai.tools import Choice, Offer, Tools
from ui.openai.values import (
    AS_LIST,
    AS_TEXT,
    Bias,
    Body,
    Caching,
    Count,
    Number,
    Penalty,
    RepeatPenalty,
    TokenId,
    form,
    whole,
)

# Sampling fields with the same meaning in both.
SHARED = {f.name for f in fields(SamplingParams)} - {
    "max_tokens",
    "stop",
    "stop_token_ids",
    "logit_bias",
    "logprobs",
    "thinking_budget",
    "grammar",
}
MOST_STOPS = 16
MOST_STOP_TOKENS = 64
MOST_LIKELIEST = 20  # alternatives to a token
MOST_CHOICES = 128  # OpenAI's; those of a pool are fewer

Word = Annotated[str, Field(min_length=1, max_length=200)]
Stop = Annotated[
    Annotated[Word, AS_TEXT]
    | Annotated[list[Word], Field(max_length=MOST_STOPS), AS_LIST],
    Discriminator(form),
]
Tier = Literal["auto", "default", "fast", "flex", "priority", "scale"]


def _top_k(value: Any) -> Any:
    """vLLM's -1 is 0 here: all tokens."""
    return 0 if whole(value) == -1 else whole(value)


class StreamOptions(Body):
    include_usage: bool = False


class ChatBody(Thinking):
    is_raw: ClassVar = False  # whether messages are the prompt as it is

    messages: list[ChatMessage] = Field(min_length=1, max_length=1000, fail_fast=True)
    model: Annotated[str, Field(max_length=1000)] = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000)] | None,
        BeforeValidator(
            _top_k,
            json_schema_input_type=Annotated[int, Field(ge=-1, le=1_000_000)] | None,
        ),
    ] = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    # the name on Qwen's model cards is vLLM's
    repeat_penalty: RepeatPenalty | None = Field(
        None, validation_alias=AliasChoices("repeat_penalty", "repetition_penalty")
    )
    logit_bias: dict[TokenId, Bias] = Field({}, max_length=1000)
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[
        int, Field(ge=0, le=MOST_LIKELIEST), BeforeValidator(whole)
    ] = 0
    stop: Stop = Field([])
    # vLLM's
    stop_token_ids: list[Number] = Field([], max_length=MOST_STOP_TOKENS)
    min_tokens: Number = 0
    ignore_eos: bool = False
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    # the form of the answer
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: Grammar | None = None
    guided_choice: Choices | None = None
    guided_grammar: Grammar | None = None
    grammar: Grammar | None = None  # llama-server's
    # functions
    tools: Tools = Field([])
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool = True
    # vLLM's: the last message is the beginning of the answer
    continue_final_message: bool = False
    add_generation_prompt: bool = True
    # flex is OpenAI's word for batch work: interactive questions go first
    service_tier: Tier | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = (
        0  # vLLM's: lower is earlier
    )
    cache: Caching = CacheUse.DEFAULT  # not OpenAI's: what was computed before
    per_page: bool = False  # not OpenAI's: one answer to each page, in their order
    task: Annotated[str, Field(max_length=100)] = ""  # not OpenAI's: a ready task
    truncate: Literal["auto", "off"] = "off"  # not OpenAI's: auto leaves old turns out

    @model_validator(mode="before")
    @classmethod
    def _of_this_api(cls, value: Any) -> Any:
        refuse_other_api(value)
        return value

    def refuse_unsupported(self) -> None:
        """Raises UnsupportedParameter for the first field on which the client relies
        and which this server would ignore."""
        refuse(self)
        if self.per_page and (self.n > 1 or self.tools or self.logprobs):
            raise UnsupportedParameter(
                "per_page cannot be combined with n, tools or logprobs. Leave them "
                "out.",
                param="per_page",
            )
        if self.priority < 0:
            raise UnsupportedParameter(
                "priority may be 0, or more for a question that can wait. Keys decide "
                "which go first.",
                param="priority",
            )
        self.refuse_other_kwargs()

    @property
    def longest_answer(self) -> int | None:
        """The tokens that were asked for; None: the server decides."""
        return self.max_completion_tokens or self.max_tokens

    def offer(self) -> Offer:
        """The tools that the answer may call. Raises InvalidRequest."""
        return Offer(self.tools, self.tool_choice, self.parallel_tool_calls)

    @property
    def continues(self) -> bool:
        """Whether the last message is the beginning of the answer. Raises
        InvalidRequest when it is not one of the assistant."""
        if not self.continue_final_message:
            return False
        if not isinstance(self.messages[-1], AssistantMessage):
            raise InvalidRequest(
                "continue_final_message needs a last message of the assistant.",
                param="continue_final_message",
            )
        return True

    def sampling(self, max_tokens: int, offer: Offer | None = None) -> SamplingParams:
        """Raises InvalidRequest for a form of the answer that cannot be enforced."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        given = self.model_dump(include=SHARED, exclude_none=True)
        biases = ((int(token), bias) for token, bias in self.logit_bias.items())
        grammar = self._grammar()
        if offer:
            grammar = offer.grammar(grammar)
        if self.min_tokens > max_tokens:
            raise InvalidRequest(
                f"min_tokens is {self.min_tokens} and max_tokens is {max_tokens}. Send "
                "a smaller min_tokens or a larger max_tokens.",
                param="min_tokens",
            )
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest(
                "top_logprobs needs logprobs: true.", param="top_logprobs"
            )
        if self.ignore_eos and grammar:
            raise InvalidRequest(
                "ignore_eos cannot be kept: the form of the answer says where it "
                "ends. Leave one of them out.",
                param="ignore_eos",
            )
        return SamplingParams(
            max_tokens=max_tokens,
            stop=stop,
            stop_token_ids=tuple(self.stop_token_ids),
            thinking_budget=self.longest_thought,
            logprobs=self.top_logprobs if self.logprobs else None,
            logit_bias=tuple(sorted(biases)),
            grammar=grammar,
            **given,
        )

    def _grammar(self) -> str:
        """The grammar of the answer; "": any text. Raises InvalidRequest."""
        outputs = self.structured_outputs
        found = {
            "response_format": self.response_format and self.response_format.grammar(),
            "structured_outputs": outputs and outputs.grammar(),
            "grammar": self.grammar,
            **self._guided(),
        }
        wanted = {name: grammar for name, grammar in found.items() if grammar}
        if len(wanted) > 1:
            first, second, *_ = wanted
            raise InvalidRequest(
                f"{first} and {second} both say what the answer looks like. Send one.",
                param=second,
            )
        return next(iter(wanted.values()), "")

    def _guided(self) -> dict[str, str]:
        """vLLM's older fields."""
        if self.guided_json is not None:
            return {"guided_json": read(self.guided_json, "guided_json")}
        older: dict[str, dict[str, Any]] = {
            "guided_regex": {"regex": self.guided_regex},
            "guided_choice": {"choice": self.guided_choice},
            "guided_grammar": {"grammar": self.guided_grammar},
        }
        return {
            name: StructuredOutputs.model_validate(asked).grammar(name)
            for name, asked in older.items()
            if any(asked.values())
        }

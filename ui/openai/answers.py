"""What the OpenAI API answers, for the OpenAPI document: nothing is made with these.

Source: the OpenAI API reference, "The chat completion object" and "The model object".
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReason = Literal["stop", "length", "tool_calls"]


class Answered(BaseModel):
    """An object of an answer. Later versions may have more fields."""

    model_config = ConfigDict(extra="allow")


class Called(Answered):
    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


class Call(Answered):
    id: str
    type: Literal["function"]
    function: Called


class AnswerMessage(Answered):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[Call] = []


class Located(Answered):
    picture: int = Field(description="Its number among those of the question, from 0.")
    label: str
    bbox_2d: list[float] = Field(
        [],
        description="Left, top, right, bottom in thousandths of the upright picture.",
    )
    point_2d: list[float] = []
    box_px: list[int] = Field(
        [],
        description="In pixels of the file that was sent; of a page of a PDF as "
        "/v1/pages draws it with the same detail.",
    )
    point_px: list[int] = []


class ChatChoice(Answered):
    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason
    grounding: list[Located] = []


class PromptTokens(Answered):
    cached_tokens: int
    image_tokens: int
    memory_image_tokens: int
    stored_image_tokens: int


class AnswerTokens(Answered):
    reasoning_tokens: int


class TokenUsage(Answered):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: AnswerTokens


class ChatCompletion(Answered):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    timings: dict[str, float] = Field(description="Of each stage, in milliseconds.")
    dropped_messages: int
    max_tokens: int


class Model(Answered):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Answered):
    object: Literal["list"]
    data: list[Model]


class Job(Answered):
    id: str
    object: Literal["job"]
    status: str
    created: int
    attempt: int
    position: int | None
    starts_in_s: float | None
    answer: ChatCompletion | None
    error: dict[str, Any] | None

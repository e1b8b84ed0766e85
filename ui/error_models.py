"""The bodies of errors, for the OpenAPI document: see `ui.error_shape`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ui.error_shape import api_of


class ErrorDetails(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(BaseModel):
    """OpenAI's."""

    error: ErrorDetails


class AnthropicError(BaseModel):
    type: Literal["error"]
    error: ErrorDetails


class OllamaError(BaseModel):
    error: str


MODELS: dict[str, type[BaseModel]] = {
    "anthropic": AnthropicError,
    "ollama": OllamaError,
}


def error_model(path: str) -> type[BaseModel]:
    """The form of what `error_body` gives for `path`."""
    return MODELS.get(api_of(path), Error)

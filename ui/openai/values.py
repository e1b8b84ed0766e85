"""The simple values of a body, as forgiving as the clients that send them need."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Tag, model_validator

from edge.cache_use import CacheUse

# The first wrong item ends a list: a million complaints would take long to write.
N_PARTS = Field(min_length=1, max_length=1000, fail_fast=True)


def _may_be_null(schema: dict[str, Any]) -> None:
    """Lets every field be null that may be absent."""
    fields = schema.get("properties", {})
    for name in fields.keys() - set(schema.get("required", [])):
        if {"type": "null"} not in fields[name].get("anyOf", []):
            fields[name] = {"anyOf": [fields[name], {"type": "null"}]}


class Body(BaseModel):
    """An object of a body. A field that is null is a field that is not there."""

    model_config = ConfigDict(
        strict=True,
        allow_inf_nan=False,
        extra="allow",  # only to be measured (`ui.ignored`) and refused
        json_schema_extra=_may_be_null,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            return {name: item for name, item in value.items() if item is not None}
        return value


def whole(value: Any) -> Any:
    """100.0 as 100: some clients have only one kind of number."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


def as_url(value: Any) -> Any:
    """{"url": ...} for an address alone."""
    return {"url": value} if isinstance(value, str) else value


# The members of `text | list`, by names that no field has: they are in pydantic's path.
AS_TEXT, AS_LIST = Tag("as text"), Tag("as list")


def form(value: Any) -> str:
    """The member of `text | list` to validate, so that only that one complains."""
    return (AS_LIST if isinstance(value, list) else AS_TEXT).tag


MOST_TEXT = 200_000  # characters of one text

Text = Annotated[str, Field(max_length=MOST_TEXT)]
# One with pictures in it, which `ui.parsed_question` measures without them.
LongText = Annotated[str, Field(max_length=32 << 20)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
TokenId = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
Caching = Annotated[CacheUse, Field(strict=False)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
RepeatPenalty = Annotated[float, Field(ge=0.5, le=2)]

"""Structured output for Python clients: openai's `parse` with Pydantic."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Optional

import openai
import pydantic.v1
import pytest
from openai import OpenAI
from pydantic import UUID4, BaseModel, Field

from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]


class Colour(str, enum.Enum):  # noqa: UP042 - as people write it
    red = "red"
    blue = "blue"


class Shape(BaseModel):
    kind: Literal["circle", "square"]
    colour: Colour = Field(description='the colour, e.g. "red"')


class Node(BaseModel):
    value: Literal[1]
    next: Optional[Node]  # noqa: UP045


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Literal[9]


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Ranges(BaseModel):
    stars: int = Field(ge=1, le=5)
    share: float = Field(ge=0, le=1)
    below: int = Field(le=-1, ge=-9)
    box: tuple[int, int]


class Texts(BaseModel):
    code: str = Field(pattern=r"^\d{3}-[A-Z]{2}$")
    inches: Literal['5" pipe', '6" pipe']
    path: Literal["C:\\new", "D:\\"]
    mood: Literal["👍", "👎"]
    颜色: Literal["红色", "蓝色"]


class Moments(BaseModel):
    date: dt.date
    moment: dt.datetime
    time: dt.time
    span: dt.timedelta
    name: uuid.UUID
    key: UUID4


class Mixed(BaseModel):
    left: Shape | None
    shapes: list[Shape] = Field(min_length=1, max_length=2)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    which: int | Literal["none"]


MODELS = [Shape, Node, Ranges, Texts, Moments, Mixed]
QUESTION = [{"role": "user", "content": "What is on the left?"}]


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    url, http = stack.url + "/v1", stack.sdk_client()
    with OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as one:
        yield one


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_pydantic_models_are_parsed(client, model, temperature: float) -> None:
    for seed in range(2):
        try:
            answer = client.chat.completions.parse(
                model="tiny",
                messages=QUESTION,
                response_format=model,
                max_tokens=300,
                temperature=temperature,
                seed=seed,
            )
        except (
            openai.LengthFinishReasonError
        ):  # `finish_reason` is length, as documented
            assert model is not Shape
            continue
        assert isinstance(answer.choices[0].message.parsed, model)


def test_a_length_that_agents_send_is_answered(client: OpenAI) -> None:
    class Script(BaseModel):
        title: str = Field(max_length=2000)
        script: str = Field(max_length=65_536)
        note: Any = None

    answer = client.chat.completions.create(
        model="tiny",
        messages=QUESTION,
        max_tokens=30,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": Script.model_json_schema()},
        },
    )
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_schemas_of_pydantic_1_are_enforced(stack: Stack) -> None:
    class Old(pydantic.v1.BaseModel):
        colour: Colour
        size: pydantic.v1.conint(ge=1, le=3)  # type: ignore[valid-type]

    form = {"type": "json_object", "schema": Old.schema()}
    body = {"messages": QUESTION, "response_format": form}
    answer = stack.post("/v1/chat/completions", body)
    assert answer.status_code == 200
    Old.parse_obj(json.loads(answer.json()["choices"][0]["message"]["content"]))


def test_a_refusal_of_the_matcher_names_the_field(client: OpenAI) -> None:
    """Errors that only the worker can find also name their `param`."""
    never = {"type": "string", "pattern": "^.{5}$", "maxLength": 4}
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(
            model="tiny",
            messages=QUESTION,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": never},
            },
        )
    assert refusal.value.param == "response_format"

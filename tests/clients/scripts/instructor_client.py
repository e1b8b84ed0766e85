"""instructor: its default mode, and its modes by tools and by schema."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

import instructor
from given import BASE_URL, CIRCLE, RIGHT, WHAT, Drawing, check
from instructor import Mode
from openai import OpenAI
from pydantic import BaseModel


class Report(BaseModel):
    """Says what a picture shows."""

    answer: Drawing


def client(**fields: Any) -> Any:
    return instructor.from_openai(OpenAI(base_url=BASE_URL, api_key="unused"), **fields)


def ask(asking: Any, picture: str) -> Any:
    content = [WHAT, instructor.Image.from_path(picture)]
    return asking.chat.completions.create(
        model="tiny",
        response_model=Report,
        max_tokens=200,
        messages=[{"role": "user", "content": content}],
    )


class Modes(TestCase):
    def test_by_a_call(self) -> None:
        for fields in ({}, {"mode": Mode.TOOLS}, {"mode": Mode.TOOLS_STRICT}):
            with self.subTest(fields):
                assert isinstance(ask(client(**fields), CIRCLE), Report)

    def test_by_schema(self) -> None:
        for picture in RIGHT:
            asking = client(mode=Mode.JSON_SCHEMA)
            check(ask(asking, picture).answer, picture)

    def test_by_provider(self) -> None:
        asking = instructor.from_provider(
            "openai/tiny", base_url=BASE_URL, api_key="unused"
        )
        assert isinstance(ask(asking, CIRCLE), Report)

    def test_partial(self) -> None:
        content = [WHAT, instructor.Image.from_path(CIRCLE)]
        *_, last = client(mode=Mode.JSON_SCHEMA).chat.completions.create_partial(
            model="tiny",
            response_model=Report,
            messages=[{"role": "user", "content": content}],
        )
        check(last.answer, CIRCLE)

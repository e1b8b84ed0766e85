"""The older API for texts, asked with OpenAI's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_a_text_is_continued(client: OpenAI, colour: str) -> None:
    """The bundled model knows pictures, not stories."""
    url = "data:image/jpeg;base64," + base64.b64encode(drawing(colour)).decode()
    prompt = f"![]({url}) The picture shows"
    whole = client.completions.create(model="tiny", prompt=prompt, max_tokens=12)
    assert colour in whole.choices[0].text
    stream = client.completions.create(
        model="tiny",
        prompt=[prompt],
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_a_refusal_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="tiny", prompt="a", suffix="b")
    assert refused.value.param == "suffix"

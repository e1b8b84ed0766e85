"""The older API for texts, asked with OpenAI's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.stack.answer_cache import attempts
from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    url, http = stack.url + "/v1", stack.sdk_client()
    with OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as one:
        yield one


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_a_text_is_continued(client: OpenAI, stack: Stack, colour: str) -> None:
    """The bundled model knows pictures, not stories."""
    for n in attempts(stack):
        picture = base64.b64encode(drawing(colour, n)).decode()
        prompt = f"![](data:image/jpeg;base64,{picture}) The picture shows"
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
        usage = chunks[-1].usage
        assert usage and whole.usage and usage.total_tokens == whole.usage.total_tokens
        details = usage.prompt_tokens_details
        is_known = details and details.cached_tokens == usage.prompt_tokens
        if is_known:
            break
    assert is_known


def test_log_probabilities_of_several_answers(client: OpenAI) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(drawing("red")).decode()
    reply = client.completions.create(
        model="tiny",
        prompt=f"![]({url}) The picture shows",
        max_tokens=6,
        n=2,
        temperature=0.7,
        seed=1,
        logprobs=3,
    )
    assert [choice.index for choice in reply.choices] == [0, 1]
    for choice in reply.choices:
        found = choice.logprobs
        assert found and found.tokens and found.token_logprobs and found.top_logprobs
        assert "".join(found.tokens) == choice.text
        assert found.text_offset == [
            len("".join(found.tokens[:n])) for n in range(len(found.tokens))
        ]
        assert all(value <= 0 for value in found.token_logprobs)
        assert all(3 <= len(likeliest) <= 4 for likeliest in found.top_logprobs)


def test_tokens_are_those_of_the_prompt(client: OpenAI, stack: Stack) -> None:
    text = "A red circle, 好 <|im_end|> and naïve 🙂."
    messages = [{"role": "user", "content": text}]
    with stack.client() as http:
        found = http.post("/tokenize", json={"prompt": text}).json()
        asked = http.post("/tokenize", json={"messages": messages}).json()
        told = [{"tokens": one["tokens"]} for one in (found, asked)]
        texts = [http.post("/detokenize", json=one).json()["prompt"] for one in told]
        unknown = http.post("/detokenize", json={"tokens": [10**9]})
    assert texts[0] == text
    assert texts[1].endswith(f"user\n{text}<|im_end|>\n<|im_start|>assistant\n")
    raw = client.completions.create(model="tiny", prompt=text, max_tokens=1)
    chat = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": text}],
        max_tokens=1,
    )
    assert raw.usage and found["count"] == raw.usage.prompt_tokens
    assert chat.usage and asked["count"] == chat.usage.prompt_tokens
    assert found["max_model_len"] == 8192
    assert unknown.status_code == 400 and unknown.json()["error"]["param"] == "tokens"


def test_a_refusal_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="tiny", prompt="a", suffix="b")
    assert refused.value.param == "suffix"

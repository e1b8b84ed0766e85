"""The tokens of texts and conversations over a real Redis and the stub, whose tokens
below 256 are bytes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge.engine import without_slot
from edge.jobs import keys
from edge.stubs.runtime import CONTROL
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part, png
from ui.tokens import MOST_TOKENS

pytestmark = pytest.mark.redis
HELLO = [{"role": "user", "content": "hello"}]
LOOKALIKE = "<|im_end|>好"


async def post(web: ApiHarness, path: str, **body: Any) -> httpx.Response:
    return await web.http.post(path, json=body)


@pytest.mark.parametrize("checks", [True, False])  # who is first: check or claim
@pytest.mark.parametrize("field", ["prompt", "content"])
async def test_a_text_has_its_tokens_and_back(
    web: ApiHarness, field: str, checks: bool
) -> None:
    web.beat("here-1", n_slots=1, n_cells=4096)
    async with web.working(checks=checks):
        found = (await post(web, "/tokenize", **{field: LOOKALIKE})).json()
        back = (await post(web, "/detokenize", tokens=found["tokens"])).json()
    tokens = list(LOOKALIKE.encode())  # none of control
    assert found == {"tokens": tokens, "count": len(tokens), "max_model_len": 4096}
    assert back == {"prompt": LOOKALIKE, "content": LOOKALIKE}
    assert web.runtime.prompts == {}  # nothing was computed


async def test_a_small_context_takes_as_many_tokens_to_read(web: ApiHarness) -> None:
    web.beat("here-1", n_slots=1, n_cells=256)
    async with web.working():
        reply = await post(web, "/detokenize", tokens=[97] * MOST_TOKENS)
    assert reply.json()["prompt"] == "a" * MOST_TOKENS, reply.text


async def test_a_conversation_has_those_of_the_template(web: ApiHarness) -> None:
    async with web.working():
        found = (await post(web, "/tokenize", messages=HELLO)).json()
        back = (await post(web, "/detokenize", tokens=found["tokens"])).json()
        begun = [*HELLO, {"role": "assistant", "content": "A red"}]
        told = {"messages": begun, "continue_final_message": True}
        going = (
            await post(web, "/tokenize", add_generation_prompt=False, **told)
        ).json()
        known = await post(web, "/tokenize", messages=HELLO)
    opening = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert back["prompt"] == opening
    assert bytes(going["tokens"][-5:]) == b"A red"
    assert (known.json(), known.headers["x-cache"]) == (found, "hit")


async def test_a_picture_has_a_placeholder_for_each_image_token(
    web: ApiHarness,
) -> None:
    content = [part(png()), {"type": "text", "text": "What?"}]
    message = {"role": "user", "content": content}
    async with web.working():
        found = (await post(web, "/tokenize", messages=[message])).json()
        asked = {"messages": [message], "max_tokens": 3}
        answer = (await post(web, "/v1/chat/completions", **asked)).json()
    placeholder = 256 + CONTROL.index("<|image_pad|>")
    assert found["tokens"].count(placeholder) >= 1
    assert found["count"] == answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("path", "given", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": ""}, "prompt"),
        ("/tokenize", {"prompt": "a", "content": "b"}, "content"),
        ("/tokenize", {"prompt": "a", "messages": HELLO}, "messages"),
        ("/tokenize", {"prompt": "x" * 200_001}, "prompt"),
        ("/tokenize", {"content": "![a](data:image/png,x)"}, "content"),
        ("/tokenize", {"messages": [{"role": "x"}]}, "messages[0].role"),
        (
            "/tokenize",
            {"messages": HELLO, "add_generation_prompt": False},
            "add_generation_prompt",
        ),
        ("/tokenize", {"content": "a", "with_pieces": True}, "with_pieces"),
        ("/tokenize", {"content": "a", "parse_special": True}, "parse_special"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": []}, "tokens"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": [1] * (MOST_TOKENS + 1)}, "tokens"),
        ("/detokenize", {"tokens": [1, 300]}, "tokens"),
    ],
)
async def test_it_is_refused_by_its_name(
    web: ApiHarness, path: str, given: dict[str, Any], param: str
) -> None:
    async with web.working():
        reply = await post(web, path, **given)
    assert code_of(reply)[0] == 400, reply.text
    assert reply.json()["error"]["param"] == param, reply.text


async def test_bytes_that_are_not_utf8_are_replaced(web: ApiHarness) -> None:
    async with web.working():
        reply = await post(web, "/detokenize", tokens=[97, 0xE5, 0xA5, 98])
    assert reply.json()["prompt"] == "a\ufffdb"


async def test_more_than_the_context_is_refused_with_the_numbers(
    web: ApiHarness,
) -> None:
    web.runtime.n_cells = 100
    async with web.working():
        reply = await post(web, "/tokenize", prompt="x" * 150)
    assert code_of(reply) == (400, "context_length_exceeded")
    assert "100 tokens" in reply.text and "150" in reply.text
    assert len(web.sync.keys(keys.JOB("*"))) == 1


async def test_the_text_of_tokens_is_bounded(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_slot, "MOST_BYTES", 3)
    async with web.working():
        assert (await post(web, "/detokenize", tokens=[97] * 3)).json() == {
            "prompt": "aaa",
            "content": "aaa",
        }
        refused = await post(web, "/detokenize", tokens=[97] * 4)
    assert refused.status_code == 400
    assert "4 bytes" in refused.json()["error"]["message"]
    assert refused.json()["error"]["param"] == "tokens"

"""Embeddings over a real Redis, with the stub behind it: a vector counts bytes."""

from __future__ import annotations

import base64
import struct
from typing import Any

import httpx
import pytest

from edge.jobs.fleet import CAPABILITIES, WorkerInfo
from edge.qwen3vl import embedding
from edge.stubs.runtime import N_VOCAB
from tests.ui.api_harness import ApiHarness
from tests.ui.pictures import part, png
from ui.embeddings.body import EmbeddingsBody
from ui.field_names import FieldNames


@pytest.fixture
def web(web: ApiHarness) -> ApiHarness:
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
    return web


async def ask(web: ApiHarness, given: Any, **more: Any) -> httpx.Response:
    return await web.http.post("/v1/embeddings", json={"input": given} | more)


def vectors(reply: httpx.Response) -> list[list[float]]:
    assert reply.status_code == 200, reply.text
    return [each["embedding"] for each in reply.json()["data"]]


@pytest.mark.redis
async def test_each_input_has_a_vector_of_length_one(web: ApiHarness) -> None:
    async with web.working():
        one = await ask(web, "abc")
        several = await ask(web, ["abc", "x", "abc"])
    assert len(vectors(one)[0]) == N_VOCAB
    assert vectors(several)[0] == vectors(several)[2] == vectors(one)[0]
    assert vectors(several)[1] != vectors(several)[0]
    assert sum(x * x for x in vectors(one)[0]) == pytest.approx(1)
    data = several.json()
    assert [each["index"] for each in data["data"]] == [0, 1, 2]
    assert (data["object"], data["model"]) == ("list", "stub")
    assert data["usage"]["prompt_tokens"] == data["usage"]["total_tokens"] > 0


@pytest.mark.redis
async def test_fewer_dimensions_and_base64_come_of_one_answer(web: ApiHarness) -> None:
    async with web.working():
        whole = vectors(await ask(web, "abc"))[0]
        short = await ask(web, "abc", dimensions=120)
        packed = await ask(web, "abc", dimensions=120, encoding_format="base64")
        more = await ask(web, "abc", dimensions=N_VOCAB + 1)
    [first] = vectors(short)
    assert short.headers["x-cache"] == "hit"
    length = sum(x * x for x in whole[:120]) ** 0.5
    assert first == pytest.approx([x / length for x in whole[:120]], abs=1e-6)
    read = struct.unpack(
        "<120f", base64.b64decode(packed.json()["data"][0]["embedding"])
    )
    assert list(read) == pytest.approx(first)
    assert more.status_code == 400
    assert more.json()["error"]["param"] == "dimensions"


@pytest.mark.redis
async def test_too_many_dimensions_are_refused_before_anything_is_computed(
    web: ApiHarness,
) -> None:
    web.beat("here-1", n_slots=1, capabilities=CAPABILITIES, n_dimensions=N_VOCAB)
    refused = await ask(web, ["abc"] * 128, dimensions=N_VOCAB + 1)  # nobody works
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert error["param"] == "dimensions" and f"have {N_VOCAB} dim" in error["message"]
    assert not web.live
    async with web.working():
        assert len(vectors(await ask(web, "abc", dimensions=N_VOCAB))[0]) == N_VOCAB


@pytest.mark.redis
async def test_the_fleet_is_asked_twice_only_for_a_number_of_dimensions(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, n_asked = web.client._fleet, 0
    really = fleet.workers

    async def workers() -> list[WorkerInfo]:
        nonlocal n_asked
        n_asked += 1
        return await really()

    monkeypatch.setattr(fleet, "workers", workers)
    async with web.working():
        vectors(await ask(web, "abc"))
        assert n_asked == 1
        vectors(await ask(web, "abc", dimensions=N_VOCAB))
        assert n_asked == 3


@pytest.mark.redis
async def test_pictures_are_embedded(web: ApiHarness) -> None:
    picture = part(png())
    url = picture["image_url"]["url"]
    async with web.working():
        found = await ask(web, [{"image": url}, picture, [picture], {"text": "a"}])
        alone = await ask(web, {"image": url, "text": "a"})
    same = vectors(found)
    assert same[0] == same[1] == same[2] != same[3]
    assert len(vectors(alone)) == 1


@pytest.mark.redis
@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": ["a"] * 129}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "input_type": "query"}, "input_type"),
        ({"input": ["a", "x" * 50_000]}, "input[1]"),
    ],
)
async def test_a_wrong_body_is_refused_by_name(
    web: ApiHarness, given: dict[str, Any], param: str
) -> None:
    async with web.working():
        found = await web.http.post("/v1/embeddings", json=given)
    assert found.status_code == 400, found.text
    assert found.json()["error"]["param"] == param


def test_the_prompt_is_the_published_one() -> None:
    """Source: Qwen3-VL-Embedding, `src/models/qwen3_vl_embedding.py`."""
    body = EmbeddingsBody.model_validate({"input": ["a", ""]}).chat_body(FieldNames())
    system, beginning, *inputs = body.messages
    assert (system.content, beginning.content) == ("Represent the user's input.", "")
    assert [message.content[0].text for message in inputs] == ["a", "NULL"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", embedding.INSTRUCTION),
        (" Find it ", "Find it."),
        ("Find it!", "Find it!"),
        ("找出图片。", "找出图片。"),
    ],
)
def test_an_instruction_is_a_sentence(given: str, sentence: str) -> None:
    assert embedding.as_sentence(given) == sentence


def test_a_vector_of_zeros_stays_one() -> None:
    assert embedding.unpack(embedding.pack([0.0, 0.0])) == [0.0, 0.0]

"""The requests of four published load scripts, with only the host changed.

They come from reports about Qwen3-VL-2B on a CPU, a web deployment of Qwen3-VL, a load
test of Qwen3-VL-30B, and a multimodal reranker.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

Draw = Callable[..., bytes]
CHAT = "/v1/chat/completions"


def post(stack: Stack, path: str, body: Any) -> httpx.Response:
    return httpx.post(stack.url + path, json=body, timeout=60)


def answer_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def refusal_of(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["message"]


def test_new_photos_and_a_question_in_chinese(stack: Stack, draw: Draw) -> None:
    for i in range(3):
        photo = base64.b64encode(draw("red", i, (800, 600))).decode()
        parts = [
            {"type": "image_url", "image_url": f"data:image/jpeg;base64,{photo}"},
            {"type": "text", "text": "请描述这张图片的内容。"},
        ]
        body = {"model": "tiny", "messages": [{"role": "user", "content": parts}]}
        answer = answer_of(post(stack, CHAT, body))
        assert "红色" in answer and "圆" in answer


def test_a_picture_as_markdown_in_the_text(stack: Stack, draw: Draw) -> None:
    photo = base64.b64encode(draw("red", size=(800, 600))).decode()
    text = f"![image](data:image/jpeg;base64,{photo})\n描述图片中的物体"
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 512}
    answer = answer_of(post(stack, CHAT, {"model": "tiny"} | body))
    assert "圆形" in answer
    status, said = refusal_of(
        post(stack, CHAT, {"model": "qwen3-vl-8b-instruct"} | body)
    )
    assert status == 404 and "tiny" in said


def test_a_flat_body_is_told_where_its_fields_belong(stack: Stack, draw: Draw) -> None:
    photo = base64.b64encode(draw("red")).decode()
    body = {"text": "描述图片中的物体", "image_base64": photo, "max_tokens": 512}
    status, said = refusal_of(post(stack, CHAT, body))
    assert status == 400 and "messages" in said


def test_a_reranker_scores_texts_and_pictures(stack: Stack, draw: Draw) -> None:
    photo = base64.b64encode(draw("red")).decode()
    documents = [{"text": "y"}, {"image": photo}, {"text": "z", "image": photo}]
    body = {"query": {"text": "x"}, "documents": documents}
    reply = post(stack, "/api/rerank", body)
    assert reply.status_code == 200, reply.text
    scores = reply.json()["scores"]
    assert len(scores) == 3 and all(0 <= score <= 1 for score in scores)
    order = [each["index"] for each in reply.json()["results"]]
    assert order == sorted(range(3), key=lambda i: -scores[i])

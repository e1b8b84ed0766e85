"""Boxes and points on the wire of each API, from a stub that always writes the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from PIL import Image

from tests.test_images import encode
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part

ANSWER = (
    '```json\n[\n\t{"bbox_2d": [100, 200, 500, 600], "label": "red circle"},\n'
    '\t{"point_2d": [500, 500], "label": "middle"}\n]\n```'
)
HARNESS = {"answer": ANSWER}
pytestmark = pytest.mark.redis


def turned() -> dict[str, Any]:
    """A file of 400 x 200 px that is shown as 200 x 400."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return part(encode(Image.new("RGB", (400, 200), "red"), "PNG", exif=exif))


BOX = {"label": "red circle", "bbox_2d": [100, 200, 500, 600]}
POINT = {"label": "middle", "point_2d": [500, 500], "point_px": [200, 100]}
EXPECTED = [
    {"picture": 0} | BOX | {"box_px": [80, 100, 240, 180]},
    {"picture": 0} | POINT,
]


def body(**more: Any) -> dict[str, Any]:
    content = [turned(), {"type": "text", "text": "locate the red circle"}]
    return {"messages": [{"role": "user", "content": content}]} | more


def chunks(text: str) -> list[dict[str, Any]]:
    frames = [line for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


async def test_boxes_are_in_pixels_of_the_file_that_was_sent(web: ApiHarness) -> None:
    async with web.working():
        reply = await web.http.post("/v1/chat/completions", json=body())
        again = await web.http.post("/v1/chat/completions", json=body())
    for one in (reply, again):
        [choice] = one.json()["choices"]
        assert choice["grounding"] == EXPECTED
        assert choice["message"]["content"] == ANSWER
    assert again.headers["x-cache"] == "hit"
    job = (await web.http.get(f"/v1/jobs/{reply.headers['x-job-id']}")).json()
    assert job["answer"]["choices"][0]["grounding"] == EXPECTED
    [read] = ChatCompletion.model_validate(reply.json()).choices
    assert read.model_extra == {"grounding": EXPECTED}


async def test_a_stream_has_them_in_its_last_chunk(web: ApiHarness) -> None:
    asked = body(stream=True)
    async with web.working():
        reply = await web.http.post("/v1/chat/completions", json=asked)
        path = f"/v1/jobs/{reply.headers['x-job-id']}/events"
        again = await web.http.get(path, headers={"last-event-id": "40"})
    for one in (reply, again):
        *before, last = [chunk["choices"][0] for chunk in chunks(one.text)]
        assert last["grounding"] == EXPECTED
        assert last["finish_reason"] == "stop"
        assert not any("grounding" in choice for choice in before)


async def test_an_answer_without_marks_has_no_field(web: ApiHarness) -> None:
    async with web.working():
        reply = await web.post("locate the red circle")  # without a picture
    assert "grounding" not in reply.json()["choices"][0]


async def test_pictures_are_counted_from_the_first(web: ApiHarness) -> None:
    asked = body()
    [message] = asked["messages"]
    earlier = [message, {"role": "assistant", "content": "A circle."}]
    asked["messages"] = [*earlier, message]
    async with web.working():
        reply = await web.http.post("/v1/chat/completions", json=asked)
        # pictures that are left out count
        asked["messages"] = [*earlier * 3, *asked["messages"]]
        long = {"role": "user", "content": "x" * 39_900}
        asked |= {"truncate": "auto", "max_tokens": 200}
        asked["messages"][-2:-2] = [long, {"role": "assistant", "content": "Yes."}]
        trimmed = await web.http.post("/v1/chat/completions", json=asked)
    [choice] = reply.json()["choices"]
    assert {mark["picture"] for mark in choice["grounding"]} == {1}
    [choice] = trimmed.json()["choices"]
    assert trimmed.json()["dropped_messages"] > 0
    assert {mark["picture"] for mark in choice["grounding"]} == {4}


async def test_the_responses_api_has_them_beside_its_output(web: ApiHarness) -> None:
    content = [
        {"type": "input_image", "image_url": turned()["image_url"]["url"]},
        {"type": "input_text", "text": "locate the red circle"},
    ]
    asked = {"input": [{"role": "user", "content": content}]}
    async with web.working():
        whole = await web.http.post("/v1/responses", json=asked)
        stream = await web.http.post("/v1/responses", json=asked | {"stream": True})
    assert whole.json()["grounding"] == EXPECTED
    assert chunks(stream.text)[-1]["response"]["grounding"] == EXPECTED


async def test_the_messages_api_has_them_beside_its_content(web: ApiHarness) -> None:
    data = turned()["image_url"]["url"].partition(",")[2]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "locate"}]
    asked = {"messages": [{"role": "user", "content": content}], "max_tokens": 500}
    async with web.working():
        whole = await web.http.post("/v1/messages", json=asked)
        stream = await web.http.post("/v1/messages", json=asked | {"stream": True})
    assert whole.json()["grounding"] == EXPECTED
    *_, delta, _ = chunks(stream.text)
    assert delta["grounding"] == EXPECTED


async def test_a_task_is_asked_by_its_name(web: ApiHarness) -> None:
    async with web.working():
        reply = await web.http.post("/v1/chat/completions", json=body(task="locate"))
        unknown = await web.http.post("/v1/chat/completions", json=body(task="dance"))
    assert reply.json()["choices"][0]["grounding"] == EXPECTED
    assert code_of(unknown) == (400, "invalid_request")
    assert "Tasks: describe, read," in unknown.json()["error"]["message"]
    tasks = (await web.http.get("/v1/models/stub")).json()["tasks"]
    assert [task["id"] for task in tasks][:3] == ["describe", "read", "table"]

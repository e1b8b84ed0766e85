"""Videos over the whole system: seen, told of, and hostile ones refused."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, expect

from tests.stack.conftest import Stack
from tests.stack.visitor import visiting
from tests.videos.test_hostile_videos import REFUSED
from tests.videos.video_files import video

pytestmark = [pytest.mark.stack, pytest.mark.model]

WHICH = "What shape is this, and which colour?"


def disc() -> Image.Image:
    image = Image.new("RGB", (320, 320), "white")
    ImageDraw.Draw(image).ellipse((80, 80, 240, 240), fill="red")
    return image


DISC = video([disc()] * 40)


def asks(file: bytes) -> dict[str, Any]:
    url = "data:video/mp4;base64," + base64.b64encode(file).decode()
    part = {"type": "video_url", "video_url": {"url": url}}
    content = [part, {"type": "text", "text": WHICH}]
    return {"messages": [{"role": "user", "content": content}]}


def test_a_video_is_answered_and_told_of(stack: Stack) -> None:
    reply = stack.post("/v1/chat/completions", asks(DISC))
    assert reply.status_code == 200, reply.text
    told = re.fullmatch(r"frames=8;seconds=4\.0;tokens=(\d+)", reply.headers["x-video"])
    used = reply.json()["usage"]
    assert told and used["prompt_tokens_details"]["image_tokens"] == int(told[1])
    # eight equal frames look like the drawing that they are of
    assert "red circle" in reply.json()["choices"][0]["message"]["content"].lower()


def test_hostile_ones_are_refused_soon_and_nothing_else_happens(stack: Stack) -> None:
    for name in ("a million frames", "40 minutes", "boxes in boxes", "encrypted"):
        reply = stack.post("/v1/chat/completions", asks(REFUSED[name][0]()))
        assert reply.status_code == 400, f"{name}: {reply.text}"
    assert stack.get("/ready").json()["models"] == ["tiny"]
    assert stack.post("/v1/chat/completions", asks(DISC)).status_code == 200


@pytest.mark.browser
def test_the_page_shows_its_frames_and_asks_about_all_of_them(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    clip, long = tmp_path / "clip.webm", tmp_path / "long.webm"
    clip.write_bytes(video([disc()] * 40, "webm", "libvpx"))
    long.write_bytes(
        video([disc()] * 13, "webm", "libvpx", times=range(0, 130_000, 10_000))
    )
    with visiting(browser, stack.url) as visitor:
        visitor.choose(long)
        hint = visitor.page.locator("#composer .hint")
        expect(hint).to_contain_text("at most 120 are read", timeout=30_000)
        visitor.choose(clip)
        times = visitor.page.locator(".strip-time")
        expect(times).to_have_count(8, timeout=30_000)
        assert times.all_inner_texts()[0] == "0:00.0"
        with visitor.page.expect_request("**/v1/chat/completions") as sent:
            visitor.ask(WHICH)
        body = json.loads(sent.value.post_data or "")
        [part, _] = body["messages"][-1]["content"]
        assert part["type"] == "video"
        seconds = [frame["seconds"] for frame in part["video"]]
        assert len(seconds) == 8 and seconds == sorted(seconds)
        visitor.wait_done()
        expect(visitor.answers.last).to_contain_text("red circle")
        expect(visitor.page.locator(".question .thumb")).to_have_count(1)

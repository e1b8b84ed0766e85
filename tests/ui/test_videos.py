"""Videos in questions, over a real Redis and a stub of the engine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from edge.jobs.fleet import CAPABILITIES
from edge.request import PictureRef, Request
from tests.test_images import encode
from tests.ui.api_harness import ApiHarness, api_harness, code_of
from tests.ui.test_documents import Ask, ask, asks, sent
from tests.videos.video_files import COLOURS, animation, colours, video
from ui.strict_json import MAX_TEXT

__all__ = ["ask", "sent"]  # fixtures

pytestmark = pytest.mark.redis
MP4 = video(colours())


@pytest.fixture
async def web(broker_url: str) -> AsyncIterator[ApiHarness]:
    async with api_harness(broker_url) as one:
        one.beat("here-1", n_slots=1, capabilities=CAPABILITIES)
        yield one


def url(file: bytes, kind: str = "video/mp4") -> str:
    return f"data:{kind};base64,{base64.b64encode(file).decode()}"


def video_part(file: bytes = MP4, **more: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url(file)} | more}


def frames_part(n: int = 3, **more: Any) -> dict[str, Any]:
    files = [encode(Image.new("RGB", (96, 96), name), "PNG") for name in COLOURS[:n]]
    return {"type": "video", "video": [url(f, "image/png") for f in files]} | more


def parts_of(request: Request) -> list[str]:
    """Texts, and the sizes of pairs."""
    return [
        f"{p.width}x{p.height} of {p.n_frames}" if isinstance(p, PictureRef) else p
        for p in request.messages[-1].content
    ]


async def test_a_video_becomes_pairs_of_frames_with_their_times(ask: Ask) -> None:
    request = await ask(video_part())
    assert parts_of(request) == [
        "<0.3 seconds>",
        "128x96 of 2",
        "<1.4 seconds>",
        "128x96 of 2",
        "<2.5 seconds>",
        "128x96 of 2",
        "<3.6 seconds>",
        "128x96 of 2",
        "What is it?",
    ]
    assert len(set(request.pictures)) >= 3


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": url(MP4)},
        {"type": "video", "video": url(MP4)},
        {"type": "video", "video": {"url": url(MP4)}},
        {"type": "video_url", "video_url": {"url": url(MP4, "")}},
        {"type": "video_url", "video_url": base64.b64encode(MP4).decode()},
        {"type": "video_url", "video_url": {"url": url(MP4)}, "fps": 2},
    ],
)
async def test_other_servers_forms_of_it_are_read(
    ask: Ask, part: dict[str, Any]
) -> None:
    assert len((await ask(part)).pictures) == 4


async def test_frames_may_be_as_large_as_photos(ask: Ask) -> None:
    noise = encode(Image.effect_noise((700, 700), 90).convert("RGB"), "PNG")
    sent = url(noise, "image/png")
    assert len(sent) > MAX_TEXT
    frames = [sent, {"image": sent, "seconds": 1}]
    for video_of in (frames[:1] * 2, [frames[1]]):
        assert (await ask({"type": "video", "video": video_of})).pictures


async def test_fps_and_detail_decide_how_much_is_seen(ask: Ask) -> None:
    assert len((await ask(video_part(fps=1))).pictures) == 2
    assert len((await ask(video_part() | {"fps": 4})).pictures) == 8
    large = video(colours(40, (1280, 720)))
    tokens = [
        sum(p.n_tokens for p in (await ask(video_part(large, detail=one))).pictures)
        for one in ("low", "auto", "high")
    ]
    assert 600 <= tokens[0] <= 1024 < tokens[1] <= 2048 < tokens[2] <= 4096


async def test_a_list_of_pictures_has_its_own_seconds(ask: Ask) -> None:
    assert parts_of(await ask(frames_part()))[::2][:2] == [
        "<0.2 seconds>",
        "<1.0 seconds>",
    ]
    frames = frames_part(2)["video"]
    timed = [{"image": one, "seconds": 3 * i} for i, one in enumerate(frames)]
    request = await ask({"type": "video", "video": timed})
    assert parts_of(request)[:2] == ["<1.5 seconds>", "96x96 of 2"]


async def test_a_worker_that_knows_none_gets_none(web: ApiHarness) -> None:
    web.beat("here-1", n_slots=1, capabilities=("chat",))
    reply = await web.post(**asks(video_part()))
    assert code_of(reply) == (400, "unsupported_parameter")


async def test_pictures_and_videos_keep_their_order(ask: Ask) -> None:
    gif = animation(colours(8, (64, 64)), "GIF", duration=500)
    still = {"type": "image_url", "image_url": {"url": frames_part(1)["video"][0]}}
    request = await ask(still, video_part(gif), still)
    assert [p.n_frames for p in request.pictures] == [1, 2, 2, 1]


async def test_the_response_tells_what_is_seen(web: ApiHarness) -> None:
    async with web.working():
        first = await web.post(**asks(video_part()))
        again = await web.post(**asks(video_part()))
    assert first.headers["x-video"] == "frames=8;seconds=4.0;tokens=48"
    assert again.headers["x-cache"] == "hit"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (video_part(b"no video"), "MP4"),
        (video_part(MP4[: len(MP4) // 2]), "cut off"),
        (
            {"type": "video_url", "video_url": {"url": "file:///v.mp4"}},
            "no other address",
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://a.test/v"}},
            "Send the video",
        ),
        ({"type": "video", "video": ["https://a.test/1.png"]}, "Send the picture"),
        (video_part(fps=0), "fps"),
        (video_part() | {"fps": 61}, "fps"),
        (video_part() | {"max_frames": 8}, "Use fps and detail"),
        (video_part(total_pixels=99), "video_url.total_pixels is not supported"),
        (frames_part(nframes=2), "nframes is not supported"),
        (video_part(video_start=1.0), "Cut the video"),
        ({"type": "video", "video": []}, "video"),
        ({"type": "video", "video": frames_part(1)["video"] * 33}, "32"),
        (
            {
                "type": "video",
                "video": [
                    {"image": one, "seconds": 9 - i}
                    for i, one in enumerate(frames_part(2)["video"])
                ],
            },
            "later seconds",
        ),
        (
            {
                "type": "video",
                "video": [
                    {"image": one, "seconds": 300 * i}
                    for i, one in enumerate(frames_part(2)["video"])
                ],
            },
            "300 seconds; at most 120",
        ),
    ],
)
async def test_what_cannot_be_read_is_refused_in_a_sentence(
    web: ApiHarness, part: dict[str, Any], words: str
) -> None:
    reply = await web.post(**asks(part))
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert words in error["message"] and "content[0]" in error["param"], error


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_apis_without_videos_refuse_them(web: ApiHarness, path: str) -> None:
    part = video_part()
    message = {"role": "user", "content": [part, {"type": "text", "text": "What?"}]}
    body = {
        "/v1/responses": {"input": [message]},
        "/v1/messages": {"messages": [message], "max_tokens": 9},
    }[path]
    reply = await web.http.post(path, json=body)
    assert reply.status_code == 400
    assert "video_url is not read here" in reply.json()["error"]["message"]
    assert code_of(reply) != "internal_error"


async def test_ollamas_api_does_not_drop_them_silently(web: ApiHarness) -> None:
    encoded = base64.b64encode(MP4).decode()
    message = {"role": "user", "content": "What?", "videos": [encoded]}
    reply = await web.http.post("/api/chat", json={"messages": [message]})
    assert reply.status_code == 400 and "videos" in reply.text


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
async def test_videos_are_not_compared(web: ApiHarness, path: str) -> None:
    body = {
        "/v1/embeddings": {"input": [{"content": [video_part()]}]},
        "/v1/rerank": {"query": "a", "documents": [{"content": [video_part()]}]},
    }[path]
    reply = await web.http.post(path, json=body)
    assert reply.status_code == 400, reply.text
    assert "video" in reply.json()["error"]["message"].lower(), reply.text

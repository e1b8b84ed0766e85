"""What the pictures of a question may take before anybody computes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.jobs.fleet import CAPABILITIES
from tests.ui.api_harness import ApiHarness, api_harness
from tests.ui.pictures import part, png
from tests.ui.test_videos import frames_part
from ui import in_flight, preparing

pytestmark = pytest.mark.redis


@pytest.fixture
async def web(broker_url: str) -> AsyncIterator[ApiHarness]:
    async with api_harness(broker_url) as one:
        one.beat("here-1", n_slots=1, n_cells=100, capabilities=CAPABILITIES)
        yield one


def about(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    text = {"type": "text", "text": "What is it?"}
    return {"messages": [{"role": "user", "content": [*parts, text]}], **more}


async def refused(web: ApiHarness, body: dict[str, Any]) -> tuple[int, str, str | None]:
    reply = await web.post(**body)
    error = reply.json()["error"]
    await web.until(lambda: not web.live)
    assert not web.client._asking._pixels._held
    assert not [*web.sync.scan_iter("edge:pictures:*")]
    return reply.status_code, error["code"], error["param"]


async def test_pictures_that_never_fit_do_not_reach_the_broker(web: ApiHarness) -> None:
    large = [part(png(colour, 224)) for colour in ("red", "green", "blue")]
    found = await refused(web, about(*large))
    assert found == (400, "context_length_exceeded", "messages")
    earlier = [{"role": "user", "content": [one]} for one in large]
    async with web.working():  # three times 49 tokens: one question with its answer
        shortened = await web.post(messages=earlier, truncate="auto")
    assert shortened.status_code == 200, shortened.text


async def test_the_pixels_of_one_question_are_bounded(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left out of it later."""
    monkeypatch.setattr(preparing, "MOST_BYTES", 224 * 224 * 3 + 1000)
    parts = (part(png(size=224)), frames_part(n=4))
    found = await refused(web, about(*parts, truncate="auto"))
    assert found[:2] == (400, "context_length_exceeded")
    assert found[2] and found[2].startswith("messages[0].content[")


async def test_the_pixels_of_one_address_are_bounded(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "SHARE", 224 * 224 * 3 // 2)  # doubled for pixels
    found = await refused(web, about(part(png(size=224)), part(png("blue", 224))))
    assert found[:2] == (503, "service_unavailable")

"""Boxes and ready tasks on the page, over a worker whose stub always points."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from edge.qwen3vl.tasks import TASKS
from tests.faults.conftest import ready
from tests.faults.service import Service
from tests.stack.visitor import ANSWER_MS, Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser]

ANSWER = """Two things:

```json
[
	{"bbox_2d": [100, 200, 500, 600], "label": "red circle"},
	{"point_2d": [800, 300], "label": "corner"}
]
```"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    one = Service(
        tmp_path_factory.mktemp("marks"), worker=("--step-s", "0", "--answer", ANSWER)
    )
    try:
        ready(one, seconds=120)
        yield one
    finally:
        one.stop()


@pytest.fixture
def visitor(browser: Browser, service: Service, tmp_path: Path) -> Iterator[Visitor]:
    """At the page with a picture of 1000 x 500 px, which is sent smaller."""
    picture = tmp_path / "wide.png"
    Image.new("RGB", (1000, 500), "white").save(picture)
    with visiting(browser, f"http://127.0.0.1:{service.ports[0]}") as one:
        one.add(picture)
        yield one


def locate(visitor: Visitor, words: str = "red circle") -> None:
    visitor.box.fill(words)
    visitor.page.locator("[data-task=locate]").click()
    expect(visitor.page.locator(".mark-name")).to_have_count(2, timeout=ANSWER_MS)


def save(page: Page, kind: str) -> Any:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Save the marks as {kind}").click()
    return Path(waiting.value.path()).read_text()


def test_what_is_found_lies_on_the_picture(visitor: Visitor) -> None:
    page = visitor.page
    locate(visitor)
    bubble = page.locator(".bubble")
    expect(bubble).to_have_text("Find and mark · red circle")  # not the whole prompt
    expect(bubble).to_have_attribute("title", TASKS["locate"].prompt("red circle"))
    expect(page.locator(".mark")).to_have_count(2)
    picture = page.locator(".stage-picture > img").bounding_box()
    box = page.locator("button.mark").bounding_box()
    assert picture
    assert box
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(0.1, abs=0.01)
    assert box["height"] / picture["height"] == pytest.approx(0.4, abs=0.01)
    page.reload()
    visitor.wait_ready()
    expect(page.locator(".mark")).to_have_count(2)  # kept with the answer


def test_a_name_lights_the_box_of_its_own_answer(
    visitor: Visitor, tmp_path: Path
) -> None:
    """Also while no boxes are shown, since a question about a picture is written."""
    locate(visitor)
    page = visitor.page
    other = tmp_path / "other.png"
    Image.new("RGB", (600, 600), "white").save(other)
    visitor.add(other)
    page.locator(".strip-picture").first.click()
    expect(page.locator("button.mark")).to_have_count(0)
    page.locator(".mark-name").first.hover()
    expect(page.locator("button.mark")).to_have_class("mark is-hue-0 is-lit")
    visitor.box.hover()
    expect(page.locator("button.mark")).to_have_count(0)


def test_words_and_boxes_light_each_other_up(visitor: Visitor) -> None:
    page = visitor.page
    locate(visitor)
    page.locator(".mark-name").first.focus()
    expect(page.locator("button.mark")).to_have_class("mark is-hue-0 is-lit")
    page.locator(".mark.is-point").focus()
    expect(page.locator(".mark-name.is-lit")).to_have_text("corner")


def test_marks_are_saved_in_pixels_of_the_chosen_file(visitor: Visitor) -> None:
    locate(visitor)
    wide = {"picture": "wide.png", "size": [1000, 500]}
    assert json.loads(save(visitor.page, "JSON")) == [
        wide | {"label": "red circle", "box": [100, 100, 500, 300]},
        wide | {"label": "corner", "point": [800, 150]},
    ]
    assert "wide.png,red circle,100,100,500,300" in save(visitor.page, "CSV")
    [image] = json.loads(save(visitor.page, "COCO"))["images"]
    assert (image["width"], image["height"]) == (1000, 500)


def test_a_table_is_asked_for_in_a_chosen_format(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("combobox", name="As a table").select_option("CSV")
    page.locator("[data-task=table]").click()
    bubble = page.locator(".bubble")
    expect(bubble).to_have_text("As a table (CSV)")
    expect(bubble).to_have_attribute("title", TASKS["table-csv"].prompt(""))
    expect(page.locator("[data-task^=table]")).to_have_count(1)


def test_a_person_edits_the_fields_that_are_read(visitor: Visitor) -> None:
    page, sent = visitor.page, []
    page.on("request", lambda request: sent.append(request))
    page.locator("[data-task=fields]").click()
    box = page.locator("#schema-text")
    box.fill("{no json")
    page.get_by_role("dialog").get_by_role("button", name="Ask").click()
    expect(page.get_by_text("This is not a JSON object.")).to_be_visible()
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    box.fill(json.dumps(schema))
    page.get_by_role("dialog").get_by_role("button", name="Ask").click()

    def asked() -> list[Any]:
        return [one for one in sent if one.url.endswith("/v1/chat/completions")]

    visitor.until(asked, 30)
    body = json.loads(asked()[0].post_data or "")
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["max_tokens"] == TASKS["fields"].max_tokens
    [message] = body["messages"]
    assert message["content"][0]["image_url"]["detail"] == "high"

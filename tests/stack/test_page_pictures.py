"""Pictures at the page, over the whole system: those that come in, those refused."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.images.heif_files import heic
from tests.stack.visitor import visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

SHAPE = "What shape is this, and which colour?"
FIRST_ONLY = "Only the first frame or page was read."

# Drops or pastes a file somewhere on the page.
PUT = """([type, where, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "put.jpg", {type: "image/jpeg"}));
  const about = {bubbles: true, cancelable: true};
  const event = type === "paste"
    ? new ClipboardEvent(type, {...about, clipboardData: data})
    : new DragEvent(type, {...about, dataTransfer: data});
  document.querySelector(where).dispatchEvent(event);
}"""


@pytest.fixture
def make(draw, tmp_path: Path):
    def one(name: str, *args: object, **options: object) -> Path:
        path = tmp_path / name
        path.write_bytes(draw(*args, **options))
        return path

    return one


def put(page: Page, kind: str, where: str, path: Path) -> None:
    page.evaluate(PUT, [kind, where, base64.b64encode(path.read_bytes()).decode()])
    expect(page.locator(".strip-picture")).to_have_count(1)


@pytest.mark.parametrize(
    ("kind", "where"), [("drop", "#talk"), ("drop", "#bar"), ("paste", "body")]
)
def test_a_picture_comes_in_anywhere(browser, stack, make, kind, where) -> None:
    with visiting(browser, stack.url) as visitor:
        put(visitor.page, kind, where, make("disc.jpg", "red"))
        visitor.ask(SHAPE)
        visitor.expect_answer("A red circle.")


def test_what_the_browser_cannot_show_is_read_by_the_server(
    browser, stack, make, tmp_path
) -> None:
    disc = Image.open(make("disc.jpg", "red"))
    photo, burst = tmp_path / "IMG_0042.heic", tmp_path / "IMG_0043.heic"
    photo.write_bytes(heic(disc, quality=90))
    burst.write_bytes(heic(disc, Image.new("RGB", disc.size), quality=90))
    with visiting(browser, stack.url) as visitor:
        visitor.add(photo)
        stage = visitor.page.locator(".stage")
        expect(stage).to_contain_text("IMG_0042.heic · ")
        expect(stage).to_contain_text("the server reads it")
        expect(stage.locator(".strip-picture")).to_have_text("heic")
        visitor.ask(SHAPE)
        expect(visitor.page.locator(".question .thumb")).to_have_text("heic")
        visitor.expect_answer("A red circle.")
        expect(visitor.page.get_by_text(FIRST_ONLY)).to_have_count(0)
        visitor.ask(SHAPE, burst)
        visitor.expect_answer("A red circle.")
        expect(visitor.page.get_by_text(FIRST_ONLY)).to_have_count(1)


def test_a_moving_picture_stands_still_as_the_model_sees_it(
    browser, stack, make, tmp_path
) -> None:
    disc = Image.open(make("disc.jpg", "red"))
    moving = tmp_path / "turning.gif"
    black = Image.new("RGB", disc.size)
    disc.save(moving, save_all=True, append_images=[black], duration=40, loop=0)
    with visiting(browser, stack.url) as visitor:
        visitor.add(moving)
        stage = visitor.page.locator(".stage")
        expect(stage.locator(".stage-tools")).to_contain_text("first frame")
        wait_loaded(stage.locator(".stage-picture img"))
        visitor.page.wait_for_timeout(200)  # the second frame would be there by now
        assert shows_red(stage.locator(".stage-picture").screenshot())
        visitor.ask(SHAPE)
        visitor.expect_answer("A red circle.")
        small = visitor.page.locator(".thumbs img")
        wait_loaded(small)
        assert shows_red(small.screenshot())


def wait_loaded(image: Locator) -> None:
    expect(image).not_to_have_js_property("naturalWidth", 0)
    expect(image).to_have_js_property("complete", True)


def shows_red(png: bytes) -> bool:
    """Whether a part of a screenshot is as red as the disc."""
    shot = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)
    return bool((shot[..., 0] - shot[..., 1:].max(2) > 90).mean() > 0.02)


def test_a_wrong_file_is_refused_when_it_is_chosen(
    browser, stack, make, tmp_path
) -> None:
    wrong = tmp_path / "letter.jpg"
    wrong.write_text("This is not a picture. " * 20)
    with visiting(browser, stack.url) as visitor:
        visitor.choose(wrong)
        said = visitor.page.get_by_text("letter.jpg is not a picture")
        expect(said).to_be_visible()
        expect(visitor.page.locator(".strip-picture")).to_have_count(0)
        # and it poisons nothing, chosen alone or with a good one
        visitor.choose(make("disc.jpg", "red"))
        expect(said).to_have_count(0)
        visitor.choose(wrong, make("another.jpg", "red"))
        expect(said).to_be_visible()
        visitor.ask(SHAPE)
        visitor.expect_answer("A red circle.")


def test_the_first_pages_of_a_long_document_are_taken(browser, stack, tmp_path) -> None:
    path, first = tmp_path / "long.pdf", Image.new("L", (40, 40), "white")
    first.save(path, "PDF", save_all=True, append_images=[first] * 399)

    def fewer(route) -> None:  # to draw them all takes a while
        model = route.fetch().json()
        model["limits"]["pages"] = 2
        route.fulfill(json=model)

    with visiting(browser, stack.url) as visitor:
        visitor.page.route("**/v1/models/*", fewer)
        visitor.page.reload()
        visitor.wait_ready()
        visitor.choose(path)
        expect(visitor.page.locator(".hint")).to_have_text(
            "The first 2 of the 400 pages of long.pdf were taken."
        )
        expect(visitor.page.locator(".strip-picture")).to_have_count(2)


def test_the_ninth_picture_is_refused_and_a_ninth_turn_is_answered(
    browser, stack, make
) -> None:
    nine = [make(f"{i}.jpg", "red", i, size=(320, 320)) for i in range(9)]
    with visiting(browser, stack.url) as visitor:
        visitor.choose(*nine)
        expect(visitor.page.locator(".strip-picture")).to_have_count(8)
        expect(visitor.page.locator(".hint")).to_contain_text("8")
        visitor.ask("How many pictures are there?")
        visitor.wait_done()
        asked = visitor.posts()
        visitor.ask(SHAPE, make("square.jpg", "blue", shape="square"))
        visitor.wait_done()  # the model knows no conversations of eight pictures
        urls = re.findall(r'"url":"(data:[^"]+)"', asked[0].post_data or "")
        assert len(urls) == 8  # the oldest one stayed here
        assert urls[-1] not in urls[:-1]


def test_a_large_photo_is_small_on_the_wire(browser, stack, make, tmp_path) -> None:
    shape = Image.open(io.BytesIO(make("disc.jpg", "red").read_bytes()))
    photo = shape.resize((4000, 3000))
    grain = Image.effect_noise(photo.size, 40).convert("RGB")
    path = tmp_path / "photo.jpg"
    Image.blend(photo, grain, 0.1).save(path, quality=97)
    assert path.stat().st_size > 2_000_000
    with visiting(browser, stack.url) as visitor:
        asked = visitor.posts()
        visitor.ask(SHAPE, path)
        visitor.expect_answer("A red circle.")
        [request] = asked
        assert len(request.post_data_buffer or b"") < 200_000


def test_the_original_is_sent_if_the_person_wants_it(browser, stack, make) -> None:
    path = make("disc.jpg", "red", size=(2400, 1800))
    with visiting(browser, stack.url) as visitor:
        asked = visitor.posts()
        visitor.add(path)
        visitor.page.get_by_label("send the original").check()
        expect(visitor.page.get_by_text("2400 × 1800")).to_be_visible()
        visitor.ask(SHAPE)
        visitor.expect_answer("A red circle.")
        [part, _] = asked[0].post_data_json["messages"][0]["content"]
        sent = part["image_url"]["url"].split(",")[1]
        assert base64.b64decode(sent) == path.read_bytes()


def test_a_picture_that_is_sent_as_it_is_offers_no_other_size(
    browser, stack, make
) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.add(make("disc.jpg", "red", size=(320, 240)))
        expect(visitor.page.locator(".stage-size")).to_be_visible()
        expect(visitor.page.get_by_label("send the original")).to_have_count(0)


def test_a_part_is_asked_about(browser, stack, make) -> None:
    left, right = make("disc.jpg", "red"), make("square.jpg", "blue", shape="square")
    both = Image.new("RGB", (2400, 900), "white")
    both.paste(Image.open(left), (0, 0))
    both.paste(Image.open(right), (1200, 0))
    both.save(left.with_name("both.png"))
    with visiting(browser, stack.url) as visitor:
        visitor.add(left.with_name("both.png"))
        page = visitor.page
        page.get_by_role("button", name="Ask about a part").click()
        area = page.locator(".stage-picture").bounding_box()
        assert area
        page.mouse.move(area["x"] + area["width"] * 0.501, area["y"] + 1)
        page.mouse.down()
        page.mouse.move(
            area["x"] + area["width"] - 1, area["y"] + area["height"] - 1, steps=4
        )
        page.mouse.up()
        page.get_by_role("button", name="Ask about this part").click()
        expect(page.locator(".strip-picture")).to_have_count(2)
        page.get_by_role("button", name="Remove both.png", exact=True).click()
        expect(page.locator(".strip-picture")).to_have_count(1)
        visitor.ask(SHAPE)
        visitor.expect_answer("A blue square.")


def test_a_tap_on_a_small_picture_only_shows_it(browser, stack, make) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    with visiting(browser, stack.url, is_mobile=True, **phone) as visitor:
        visitor.add(make("disc.jpg", "red"), make("square.jpg", "blue", shape="square"))
        visitor.page.locator(".strip-picture").first.tap()
        expect(visitor.page.locator(".strip-picture")).to_have_count(2)
        expect(visitor.page.locator(".stage-picture img")).to_have_attribute(
            "alt", "disc.jpg"
        )

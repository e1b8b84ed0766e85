"""The stage in a browser: zoom, pan, parts, marks, cells, the strip."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SIZE = (1600, 1200)

# Puts a stage with `given` pictures on the page; keeps what it says in `window.heard`.
SHOW = """async (given) => {
  const {openStore} = await import("/page/store.js");
  const {Stage} = await import("/page/stage.js");
  const words = await (await fetch("/page/words/en.json")).json();
  const say = (key, values = {}) => {
    if (!(key in words)) throw new Error(`There are no words for ${key}.`);
    return words[key].replace(/\\{(\\w+)\\}/g, (_, name) => values[name]);
  };
  const store = await openStore();
  const items = [];
  for (const {base64, name, isDraft} of given) {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const file = new Blob([bytes], {type: "image/png"});
    const sha256 = await store.pictures.keep(file, false);
    const size = {width: 1600, height: 1200, rows: 30, columns: 40};
    items.push({ref: {sha256, original: null, name, ...size}, isDraft});
  }
  const host = document.createElement("main");
  host.style.cssText = "width: 100%; max-width: 640px; height: 90vh";
  document.body.replaceChildren(host);
  window.heard = [];
  const hear = (name) => (...values) => window.heard.push([name, ...values]);
  const ways = {say, pictures: store.pictures};
  for (const name of ["onAdd", "onRemove", "onOriginal", "onPart", "onPoint"]) {
    ways[name] = hear(name);
  }
  window.stage = new Stage(host, ways);
  window.items = items;
  await window.stage.show(items, 0);
}"""


def drawing(colour: str = "red") -> bytes:
    image = Image.new("RGB", SIZE, colour)
    image.paste("white", (400, 300, 1200, 900))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def show(page: Page, *colours: str, is_draft: bool = False) -> None:
    page.evaluate(
        SHOW,
        [
            {
                "base64": base64.b64encode(drawing(colour)).decode(),
                "name": f"{colour}.png",
                "isDraft": is_draft,
            }
            for colour in colours
        ],
    )


def box(page: Page, selector: str) -> Any:
    expect(page.locator(selector)).to_be_visible()  # it may be drawn again
    found = page.locator(selector).bounding_box()
    assert found
    return found


def heard(page: Page, name: str) -> list[Any]:
    return [one[1:] for one in page.evaluate("window.heard") if one[0] == name]


def test_the_whole_picture_is_seen_first(page: Page) -> None:
    show(page, "red")
    frame, picture = box(page, ".stage-frame"), box(page, ".stage-picture")
    assert picture["width"] == pytest.approx(frame["width"], abs=1)
    assert picture["width"] / picture["height"] == pytest.approx(4 / 3, rel=0.01)
    expect(page.get_by_alt_text("red.png")).to_be_visible()


def test_a_small_picture_has_a_border_and_an_address_of_the_browser(page: Page) -> None:
    show(page, "white", "white")
    for picture in page.locator(".strip-picture").all():
        assert picture.evaluate("e => parseFloat(getComputedStyle(e).borderWidth)") >= 1
        expect(picture.locator("img")).to_have_attribute("src", re.compile("^blob:"))


def test_the_wheel_zooms_to_the_pointer_and_a_drag_moves(page: Page) -> None:
    show(page, "red")
    before, frame = box(page, ".stage-picture"), box(page, ".stage-frame")
    x, y = frame["x"] + frame["width"] / 4, frame["y"] + frame["height"] / 2
    page.mouse.move(x, y)
    for _ in range(5):
        page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('.is-zoomed')")
    after = box(page, ".stage-picture")
    assert after["width"] > 2 * before["width"]
    # what was below the pointer is below it still
    share = (x - before["x"]) / before["width"]
    assert (x - after["x"]) / after["width"] == pytest.approx(share, abs=0.01)
    page.mouse.down()
    page.mouse.move(x - 80, y - 30, steps=4)
    page.mouse.up()
    moved = box(page, ".stage-picture")
    assert moved["x"] == pytest.approx(after["x"] - 80, abs=1)
    page.mouse.dblclick(x, y)
    assert box(page, ".stage-picture") == before


def test_two_fingers_zoom(page: Page) -> None:
    show(page, "red")
    before, frame = box(page, ".stage-picture"), box(page, ".stage-frame")
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, apart: float) -> None:
        fingers = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        points = [] if kind == "touchEnd" else fingers
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in range(45, 125, 5):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    after = box(page, ".stage-picture")
    assert after["width"] == pytest.approx(3 * before["width"], rel=0.1)


def test_keys_zoom_and_move(page: Page) -> None:
    show(page, "red")
    before = box(page, ".stage-picture")
    page.locator(".stage-frame").focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    zoomed = box(page, ".stage-picture")
    page.keyboard.press("ArrowRight")
    assert zoomed["width"] > 1.4 * before["width"]
    assert box(page, ".stage-picture")["x"] < zoomed["x"]
    page.keyboard.press("0")
    assert box(page, ".stage-picture") == before


def test_a_part_is_drawn_and_asked_about(page: Page) -> None:
    show(page, "red")
    page.get_by_role("button", name="Ask about a part").click()
    picture = box(page, ".stage-picture")

    def at(x: float, y: float) -> tuple[float, float]:
        return picture["x"] + x * picture["width"], picture["y"] + y * picture["height"]

    page.mouse.move(*at(0.1, 0.1))
    page.mouse.down()
    page.mouse.move(*at(0.6, 0.4), steps=5)
    page.mouse.up()
    page.mouse.move(*at(0.35, 0.25))  # inside: moves it
    page.mouse.down()
    page.mouse.move(*at(0.45, 0.35), steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Ask about this part").click()
    [[_, part, ref]] = heard(page, "onPart")
    expected = {"x": 320, "y": 240, "width": 800, "height": 360}
    assert all(abs(part[key] - expected[key]) <= 8 for key in expected), part
    assert ref["name"] == "red.png"
    assert page.locator(".stage-crop").count() == 0


def test_a_part_by_keys_alone(page: Page) -> None:
    show(page, "red")
    page.get_by_role("button", name="Ask about a part").focus()
    page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    [[_, part, _]] = heard(page, "onPart")
    assert part == {"x": 368, "y": 276, "width": 832, "height": 600}


def test_escape_leaves_the_part_and_then_the_whole_window(page: Page) -> None:
    show(page, "red")
    small = box(page, ".stage-frame")
    page.get_by_role("button", name="Whole window").click()
    page.get_by_role("button", name="Ask about a part").click()
    assert box(page, ".stage-frame")["width"] > 1.5 * small["width"]
    picture, window = box(page, ".stage-picture"), page.viewport_size
    assert window
    assert max(picture[side] / window[side] for side in ("width", "height")) > 0.7
    page.keyboard.press("Escape")
    expect(page.locator(".stage-crop")).to_have_count(0)
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert box(page, ".stage-frame") == small
    assert heard(page, "onPart") == []


def test_marks_light_up_and_ask_about_their_part(page: Page) -> None:
    show(page, "red")
    at = {"x": 0.25, "y": 0.5, "width": 0.5, "height": 0.1}
    marks = [
        {"id": "a", "label": "total", "hue": 0} | at,
        {"id": "b", "label": "here", "hue": 1, "x": 0.1, "y": 0.1},
        {"id": "c", "label": "elsewhere", "hue": 2, "sha256": "another"} | at,
    ]
    page.evaluate(
        """(marks) => {
          const {sha256} = window.items[0].ref;
          window.stage.mark(marks.map((mark) => ({sha256, ...mark})));
        }""",
        marks,
    )
    expect(page.locator(".mark")).to_have_count(2)
    page.get_by_role("button", name="total").hover()
    assert heard(page, "onPoint") == [["a"]]
    expect(page.locator(".mark.is-lit")).to_have_text("total")
    page.evaluate("window.stage.light('b')")
    expect(page.locator(".mark.is-lit")).to_have_text("here")
    page.get_by_role("button", name="total").click()
    [[_, part, _]] = heard(page, "onPart")
    assert part == {"x": 400, "y": 600, "width": 800, "height": 120}


def test_cells_light_up_as_they_are_read(page: Page) -> None:
    show(page, "red")

    def dark(share: float) -> int:
        """Cells that are not lit, by the pixels of the canvas."""
        count: int = page.evaluate(
            """(share) => {
              const {sha256} = window.items[0].ref;
              window.stage.progress({sha256, share});
              const canvas = document.querySelector(".stage-cells");
              if (canvas.hidden) return -1;
              const {width, height} = canvas;
              const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
              let n = 0;
              for (let i = 0; i < data.length; i += 4) n += data[i + 3] > 120;
              return n;
            }""",
            share,
        )
        return count

    assert [dark(0), dark(0.5), dark(0.75), dark(1)] == [1200, 600, 300, -1]


def test_another_picture_is_chosen_and_a_draft_taken_away(page: Page) -> None:
    show(page, "red", "blue", is_draft=True)
    page.get_by_role("button", name="blue.png", exact=True).click()
    expect(page.get_by_alt_text("blue.png")).to_be_visible()
    assert heard(page, "onRemove") == []  # a choice takes nothing away
    page.get_by_role("button", name="Remove red.png").click()
    assert heard(page, "onRemove") == [[0]]


def test_news_of_the_same_pictures_does_not_lead_away(page: Page) -> None:
    show(page, "red", "blue", "green")
    shown = page.locator(".stage-picture img")
    page.evaluate("window.stage.show(window.items.slice(0, 2))")
    expect(shown).to_have_attribute("alt", "blue.png")
    page.locator(".strip-picture").first.click()
    expect(shown).to_have_attribute("alt", "red.png")
    page.evaluate("window.stage.show(window.items.slice(0, 2))")
    expect(shown).to_have_attribute("alt", "red.png")
    page.evaluate("window.stage.show(window.items)")
    expect(shown).to_have_attribute("alt", "green.png")


def test_a_picture_that_is_gone_is_said_to_be_gone(page: Page) -> None:
    show(page, "red")
    page.evaluate(
        """window.stage.show([{ref: {...window.items[0].ref, sha256: "0".repeat(64)},
             isDraft: false}])"""
    )
    expect(page.get_by_text("no longer in this browser")).to_be_visible()
    expect(page.locator(".stage-frame")).to_be_hidden()
    page.evaluate("window.stage.show(window.items)")
    expect(page.get_by_alt_text("red.png")).to_be_visible()


def test_controls_are_large_enough_for_a_finger(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, "red", "blue", is_draft=True)
    for button in page.get_by_role("button").all():
        if button.is_visible():
            area = button.bounding_box()
            assert area and min(area["width"], area["height"]) >= 44, button

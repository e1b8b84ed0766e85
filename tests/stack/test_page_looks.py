"""How the page looks and reads: windows, languages, answers, names, keys."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.stack.visitor import visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

ROOT = Path(__file__).parents[2]
# Shows a text as an answer, with the page's own module.
ANSWER = """async text => {
  const main = document.querySelector("script[src*='main.js']").src;
  const { showMarkdown } = await import(main.replace("main.js", "markdown/render.js"));
  showMarkdown(document.querySelector(".answer > .markdown"), text);
}"""
TABLE = """| Item | EUR |
|:-----|----:|
| Strawberries | 4.20 |
| Milk and bread and butter and coffee and a thing with a long name | 13.86 |
"""


@pytest.fixture
def picture(draw, tmp_path: Path) -> Path:
    path = tmp_path / "disc.jpg"
    path.write_bytes(draw("red"))
    return path


def overflow(page: Page) -> int:
    """Pixels by which the page is wider or higher than its window."""
    sizes: list[int] = page.evaluate(
        "(e => [e.scrollWidth - innerWidth, e.scrollHeight - innerHeight])"
        "(document.documentElement)"
    )
    return max(sizes)


WINDOWS = (
    (320, 568),
    (390, 844),
    (844, 390),
    (640, 360),
    (640, 400),
    (1280, 800),
    (3840, 2160),
)


def windows(page: Page) -> Iterator[tuple[int, int]]:
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        yield width, height


def test_composer_and_picture_stay_in_sight_in_all_windows(
    browser, stack, picture
) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.page
        for _ in windows(page):
            assert overflow(page) <= 0
        visitor.ask("What shape is this?", picture)
        visitor.wait_done()
        for _, height in windows(page):
            assert overflow(page) <= 0
            box = visitor.box.bounding_box()
            assert box and box["x"] >= 0 and box["y"] + box["height"] <= height
            frame = page.locator(".stage-frame").bounding_box()
            assert frame and frame["height"] >= 60
            assert frame["y"] + frame["height"] <= height


def test_the_question_box_keeps_its_name_and_its_size(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        for _ in range(2):
            expect(visitor.page.get_by_role("textbox")).to_have_accessible_name(
                "Your question"
            )
            size = visitor.box.evaluate("box => getComputedStyle(box).fontSize")
            assert float(size.removesuffix("px")) >= 16  # below, iPhones zoom in
            visitor.ask("How many shapes are there?")
            assert visitor.box.is_enabled()
            visitor.wait_done()


def test_answers_are_read_as_text_and_not_as_a_name(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask("How many shapes are there?")
        visitor.wait_done()
        names = visitor.page.evaluate(
            "[...document.querySelectorAll('.answer, .answer [aria-label]')]"
            ".map(node => node.ariaLabel ?? '')"
        )
        answer = visitor.answers.inner_text()
        assert not [name for name in names if answer in name]
        live = visitor.page.evaluate(
            "!!document.querySelector('.answer > .markdown').closest('[aria-live]')"
        )
        assert not live  # twenty changes a second would be read out


def test_tables_scroll_sideways_on_phones_and_align(browser, stack) -> None:
    phone = {"viewport": {"width": 360, "height": 640}}
    with visiting(browser, stack.url, **phone) as visitor:
        visitor.ask("How many shapes are there?")
        visitor.wait_done()
        visitor.page.evaluate(ANSWER, TABLE)
        cell = visitor.page.locator("td").last
        expect(cell).to_have_css("text-align", "right")
        lines = visitor.page.locator("td, th").evaluate_all(
            "cells => cells.filter(cell => !/\\s/.test(cell.innerText)).map(cell => {"
            " const r = document.createRange(); r.selectNodeContents(cell);"
            " return r.getClientRects().length; })"
        )
        assert set(lines) == {1}  # numbers and words are not broken by letter
        assert overflow(visitor.page) <= 0


def test_formulas_are_drawn(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask("How many shapes are there?")
        visitor.wait_done()
        visitor.page.evaluate(ANSWER, "It is $x^2$ and \\(y\\), not $5 or $6.")
        expect(visitor.page.locator(".markdown .katex")).to_have_count(2)
        expect(visitor.page.locator(".answer > .markdown")).to_contain_text(
            "not $5 or $6."
        )


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh-HK", "zh-HK"), ("zh-SG", "zh-CN"), ("de-AT", "de"), ("pt-BR", "en")],
)
def test_a_page_has_one_language(browser, stack, locale, language) -> None:
    words = json.loads((ROOT / f"ui/page/words/{language}.json").read_text())
    with visiting(browser, stack.url, locale=locale) as visitor:
        page = visitor.page
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator(".empty h2")).to_have_text(words["drop_anywhere"])
        expect(page.locator(".notice")).to_have_text(words["tiny"])


def test_a_slow_shell_does_not_change_the_language(browser, stack) -> None:
    def wait(route) -> None:
        time.sleep(0.5)
        route.continue_()

    with visiting(browser, stack.url, locale="pt-BR") as visitor:
        visitor.page.route("**/assets/pt-BR-*.js", wait)
        visitor.page.reload()
        visitor.wait_ready()
        expect(visitor.page.locator("html")).to_have_attribute("lang", "en")


def test_a_chosen_language_stays(browser, stack) -> None:
    with visiting(browser, stack.url, locale="en-US") as visitor:
        visitor.box.fill("half a question")
        expect(visitor.page).to_have_url(re.compile("#"))  # it is kept
        visitor.page.get_by_label("Language").select_option("ja")
        expect(visitor.page.locator("html")).to_have_attribute("lang", "ja")
        visitor.wait_ready()
        expect(visitor.box).to_have_value("half a question")
        visitor.page.reload()
        visitor.wait_ready()
        expect(visitor.page.locator("html")).to_have_attribute("lang", "ja")


def test_dark_and_light_are_chosen_and_stay(browser, stack) -> None:
    with visiting(browser, stack.url, color_scheme="light") as visitor:
        html = visitor.page.locator("html")
        expect(html).to_have_attribute("data-look", "light")
        visitor.page.get_by_role("button", name="Light or dark").click()
        expect(html).to_have_attribute("data-look", "dark")
        visitor.page.reload()
        visitor.wait_ready()
        expect(html).to_have_attribute("data-look", "dark")


def test_nothing_advertises_gradio(browser, stack) -> None:
    source = httpx.get(stack.url, timeout=30).text
    for word in ("@Gradio", 'og:title" content="Gradio', "raw.githubusercontent"):
        assert word not in source
    with visiting(browser, stack.url) as visitor:
        assert "gradio" not in visitor.page.locator("body").inner_text().lower()
        assert visitor.page.title() == "Edge-VL"


def test_an_unknown_address_answers_in_the_shape_of_the_api(stack) -> None:
    reply: Any = httpx.get(f"{stack.url}/nothing/here", timeout=30)
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"


def test_keys_of_the_keyboard(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask("How many shapes are there?")
        visitor.wait_done()
        visitor.page.locator(".menu").focus()
        visitor.page.keyboard.press("/")
        expect(visitor.box).to_be_focused()
        visitor.page.locator(".menu").focus()
        visitor.page.keyboard.press("n")
        expect(visitor.page.locator(".empty")).to_be_visible()
        visitor.page.go_back()
        expect(visitor.answers).to_have_count(1)

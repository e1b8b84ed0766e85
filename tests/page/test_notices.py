"""What the page says of the server's state and of failures, in one load of the page."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import MODULES, Site

pytestmark = pytest.mark.browser

WORDS = json.loads((MODULES / "words/en.json").read_text())
SHOW = """async () => {
  const {Bar} = await import("/page/bar.js");
  const {FailureCard} = await import("/page/failures.js");
  const {Service} = await import("/page/service.js");
  const {loadWords} = await import("/page/words.js");
  await loadWords();
  const host = document.createElement("header");
  document.body.append(host);
  window.service = new Service();
  new Bar(host, window.service, {history() {}, server() {}});
  window.fail = (error, again) => {
    window.acted = [];
    const act = (remedy) => window.acted.push(remedy);
    const card = new FailureCard({error, again}, act, () => act("stop"));
    document.querySelector(".failure")?.remove();
    document.body.append(card.node);
  };
}"""
READY = {"models": [{"id": "other-2"}], "slots": 4, "running": 0, "waiting": 0}


def answer(site: Site, status: int, body: dict[str, Any]) -> None:
    def reply(http: BaseHTTPRequestHandler) -> None:
        is_model = "/v1/models/" in http.path
        data = json.dumps({} if is_model else body).encode()
        http.send_response(200 if is_model else status)
        http.send_header("content-type", "application/json")
        http.send_header("content-length", str(len(data)))
        http.end_headers()
        http.wfile.write(data)

    site.answer = reply


def test_the_notice_names_what_is_away_and_goes_when_it_is_back(
    page: Page, site: Site
) -> None:
    page.evaluate(SHOW)
    notice = page.locator(".notice")
    for status, body, key in (
        (503, {"error": {"code": "service_unavailable", "message": "?"}},
         "error_service_unavailable"),
        (200, {**READY, "models": []}, "error_no_worker"),
        (503, {"error": {"code": "shutting_down", "message": "?"}},
         "error_shutting_down"),
    ):  # fmt: skip
        answer(site, status, body)
        page.evaluate("window.service.look()")
        expect(notice).to_have_text(WORDS[key])
        answer(site, 200, READY)
        page.evaluate("window.service.look()")
        expect(notice).to_have_attribute("hidden", "")  # an empty one has a colour


def test_a_failure_counts_until_it_is_asked_again(page: Page) -> None:
    page.evaluate(SHOW)
    page.clock.install(time=0)
    page.clock.pause_at(3600)
    full = {"code": "queue_full", "message": "All 18 places are taken."}
    page.evaluate("error => window.fail(error, Date.now() + 4000)", full)
    card = page.locator(".failure")
    # it is read aloud once, and not again at each second
    expect(page.get_by_role("alert")).to_have_text(WORDS["error_queue_full"])
    expect(card.locator(".counter")).to_contain_text("4")
    page.clock.run_for(2000)
    expect(card.locator(".counter")).to_contain_text("2")
    page.clock.run_for(9000)
    expect(card.locator(".counter")).to_contain_text("1")  # asking takes a moment
    card.get_by_role("button", name=WORDS["stop"]).click()
    assert page.evaluate("window.acted") == ["stop"]
    # at last a person decides
    page.evaluate("error => window.fail(error, undefined)", full)
    expect(card.get_by_role("button")).to_have_count(1)  # no Copy, no Undo
    expect(card.locator("p")).to_have_text("Too many people are asking. ")
    card.get_by_role("button").click()
    assert page.evaluate("window.acted") == ["wait"]


def test_who_has_signed_in_again_asks_again(page: Page) -> None:
    page.evaluate(SHOW)
    card = page.locator(".failure")
    for code in ("invalid_api_key", "forbidden"):
        page.evaluate("code => window.fail({code, message: ''}, 0)", code)
        card.get_by_role("button", name=WORDS["remedy_login"]).click()
        card.get_by_role("button", name=WORDS["remedy_again"]).click()
        assert page.evaluate("window.acted") == ["login", "again"]


def test_each_refusal_is_said_in_the_language_of_the_page(page: Page) -> None:
    """What the server says of it may stand behind, in brackets."""
    said = page.evaluate(
        """async (codes) => {
          Object.defineProperty(navigator, "languages", { value: ["zh-CN"] });
          const { loadWords } = await import("/page/words.js");
          const { sentence } = await import("/page/failures.js");
          await loadWords();
          return codes.map((code) => sentence({ code, message: "No." }));
        }""",
        ["invalid_request", "unsupported_parameter", "cancelled", "of_tomorrow"],
    )
    assert [one[-5:] for one in said] == ["（No.）"] * 2 + [
        "请再问一次。"[-5:],
        "（No.）",
    ]
    assert all("\u4e00" <= one[0] <= "\u9fff" for one in said)

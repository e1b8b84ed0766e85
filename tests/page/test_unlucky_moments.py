"""Modules of the page when a request breaks off, or two things happen at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.test_history import SHOW
from tests.page.test_store import run

pytestmark = pytest.mark.browser

# `asked` are the questions that were sent; each stays without an answer.
ASKING = """
  const {Asking} = await import("/page/asking.js");
  const {Service} = await import("/page/service.js");
  const asked = [];
  const really = window.fetch;
  window.fetch = (path, options) => {
    if (options?.method !== "POST") return really(path, options);
    asked.push(path);
    return new Promise(() => {});
  };
  await store.write({conversation: talk("a", {leaf: "m"}),
    messages: [said("q", "a", null), said("m", "a", "q", {role: "assistant", text: "",
      state: "asked"})]}, job("k", "a"));
  const asking = new Asking(store, new Service());
  const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
"""


def test_a_job_that_is_begun_twice_is_asked_once(page: Page) -> None:
    """As when `takeOver` looks while a person's question is on its way."""
    script = """const [found] = await store.jobs();
      void asking.start(job("k", "a")); void asking.start(found);
      await asking.takeOver();
      await later(1000); return asked.length;"""
    assert run(page, ASKING + script) == 1


def test_a_job_belongs_to_its_tab_from_the_beginning(page: Page) -> None:
    run(
        page,
        'await store.write({conversation: talk("a"), messages: []}, job("k", "a"))',
    )
    other = page.context.new_page()
    other.goto(page.url)
    assert run(other, 'return store.claimJob("k", Date.now())') is None
    assert run(page, 'return store.claimJob("k", Date.now())')["key"] == "k"


def test_a_message_is_changed_by_what_it_is_by_now(page: Page) -> None:
    """As when it was stopped in another tab."""
    script = """const messages = [said("m", "a", null)];
      await store.write({conversation: talk("a"), messages});
      await store.changeMessage("m", () => ({state: "stopped", text: "so far"}));
      const row = await store.changeMessage("m", ({state}) =>
        (state === "stopped" ? null : {state: "writing", text: "more"}));
      return [row, (await store.message("m")).text];"""
    assert run(page, script) == [None, "so far"]


def test_the_tasks_of_a_model_are_asked_for_until_they_come(page: Page) -> None:
    n_asked = 0

    def about(route: Route) -> None:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 1:
            route.abort()
        elif n_asked == 2:
            route.fulfill(content_type="application/json", body='{"tasks": [{"na')
        else:
            route.fulfill(json={"tasks": [{"name": "read"}]})

    page.route(
        "**/v1/status", lambda route: route.fulfill(json={"models": [{"id": "a"}]})
    )
    page.route("**/v1/models/a", about)
    looked = """async () => {
      const {Service} = await import("/page/service.js");
      const one = new Service();
      const seen = [];
      for (let n = 0; n < 4; n++) {
        await one.look();
        seen.push([one.state.code ?? one.state, one.tasks.length]);
      }
      return seen;
    }"""
    lost, ready = ["unreachable", 0], ["ready", 1]
    assert page.evaluate(looked) == [lost, lost, ready, ready]
    assert n_asked == 3


def test_words_that_do_not_come_are_asked_for_again(page: Page) -> None:
    tries: list[str] = []

    def once(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            route.abort()
        elif len(tries) == 2:
            route.fulfill(status=502, json={"error": {}})
        else:
            route.continue_()

    page.route("**/words/en.json", once)
    said = """async () => {
      const words = await import("/page/words.js");
      await words.loadWords();
      return words.say("history.untitled");
    }"""
    assert page.evaluate(said) not in ("", "history.untitled")
    assert len(tries) == 3


def test_a_click_on_the_list_is_heard_while_the_list_changes(page: Page) -> None:
    page.evaluate(SHOW)
    entry = page.locator(".history-entry").first.locator(".history-open")
    box = entry.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.evaluate("store.endJob('k')")
    page.wait_for_timeout(300)
    page.mouse.up()
    assert page.evaluate("window.opened") == ["c2"]
    expect(page.locator(".is-running")).to_have_count(0)

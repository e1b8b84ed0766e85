"""No answer can affect the page that shows it (W18, F14).

A page in a real Chromium, whose answers are the words of the questions: both are shown
by the same component.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from edge.up.parts import free_port
from tests.conftest import wait_for
from tests.security.conftest import Site, canary

pytestmark = pytest.mark.browser

SUBMIT = "button.submit-button"


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site, folder = Site(free_port()), tmp_path_factory.mktemp("echo")
    script = str(Path(__file__).with_name("echo.py"))
    environ = os.environ | {"GRADIO_TEMP_DIR": str(folder / "uploads")}
    environ |= {"GRADIO_ANALYTICS_ENABLED": "False"}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, script, str(site.port)]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return site.ask("GET", "/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_for(answers, 30)
    yield site
    process.kill()
    process.wait(10)


@pytest.fixture(scope="module")
def say(echo: Site, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Asks, and waits until the answer is there; one page, cleared each time."""
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{echo.port}")
    expect(page.get_by_role("textbox")).to_be_visible(timeout=20_000)

    def one(text: str) -> Page:
        if page.locator("#chat .bot").count():
            page.get_by_title("Clear").click()
            expect(page.locator("#chat .bot")).to_have_count(0)
        page.get_by_role("textbox").fill(text)
        page.locator(SUBMIT).click()
        expect(page.locator("#chat .bot")).to_have_count(1, timeout=20_000)
        expect(page.locator(SUBMIT)).to_be_visible(timeout=20_000)
        page.wait_for_timeout(100)
        return page

    yield one
    page.close()


def hostile(away: str) -> list[str]:
    """Payloads that would send, cover, rename or run something."""
    overlay = "position:fixed;inset:0;z-index:99999;background:red"
    form = f'<form action="{away}"><input name=a><button>Go</button></form>'
    return [
        form,
        f'<form id=f></form><button form=f formaction="{away}">x</button>',
        f'<iframe src="{away}"></iframe>',
        f'<iframe srcdoc="<form action={away}>"></iframe>',
        f'<img src="{away}/i.png">',
        f"![x]({away}/m.png)",
        f'<video src="{away}" autoplay></video><audio src="{away}" autoplay></audio>',
        f'<object data="{away}"></object><embed src="{away}">',
        f'<div style="{overlay}">Your session has ended. Log in.</div>',
        f'<a href="{away}" style="{overlay}">x</a>',
        f"<p class='fixed' id='app' style='{overlay}'>x</p>",
        "<style>body{display:none}</style>",
        f'<link rel=stylesheet href="{away}/a.css"><link rel=prefetch href="{away}">',
        f'<meta http-equiv="refresh" content="0;url={away}">',
        f'<base href="{away}/">',
        f'<script src="{away}/a.js"></script><script>document.title="ran"</script>',
        "<img src=x onerror=\"document.title='ran'\">",
        "<svg onload=\"document.title='ran'\"><animate onbegin=alert(1)></svg>",
        f'<svg><use href="{away}#a"/><image href="{away}/s.png"/></svg>',
        f'<math><mtext><form action="{away}"></mtext></math>',
        "[x](javascript:document.title='ran')",
        f'<input autofocus onfocus="document.title=1"><textarea></textarea>{form}',
        f"<dialog open style='{overlay}'>x</dialog>",
        f'<details open ontoggle="document.title=1">{form}</details>',
        f"<table background='{away}'><tr><td>{form}</td></tr></table>",
        f"- a list\n\n    ```\n{form}\n    ```\n",
        f"> quoted {form}\n\n1. {form}\n",
        f"```mermaid\ngraph TD\n{form}\n```",
        f"```\nno end\n\n{form}",
        f"$$ {form} $$ and `$$ {form} $$`",
        f'[a]: /x "\n```\n"\n{form}\n```\n',
        f'[a](x "`") {form} `")',
        f"`` a ` {form} ` ``\n\n\\`{form}\\`",
        f"foo ` bar\nbaz ` {form} `",
        f"| a | b |\n|---|---|\n| ` | {form} ` |",
        f"&lt;form action={away}&gt; &#60;form action={away}&#62;",
        f"<FORM\naction={away}>\n</FORM>",
        f"<x-y><form/action={away}></form>",
        f"<!-- {form} --><![CDATA[{form}]]><?x {form} ?>",
    ]


SEEN = """() => {
  const chat = document.querySelector('#chat');
  const inside = [...chat.querySelectorAll('.message *')];
  const of = (names) => inside.filter(e => names.includes(e.localName)).length;
  return {
    forbidden: of(['form', 'iframe', 'object', 'embed', 'style', 'link', 'meta', 'base',
      'script', 'video', 'audio', 'dialog', 'textarea', 'select']),
    overlays: inside.filter(e => {
      const kind = getComputedStyle(e).position, box = e.getBoundingClientRect();
      const own = e.closest('.message').getBoundingClientRect();
      return kind === 'fixed' && box.height > own.height + 1;
    }).length,
    title: document.title,
    shown: getComputedStyle(document.body).display,
    at: document.elementFromPoint(innerWidth / 2, 10)?.closest('.message') === null,
  };
}"""


def test_no_answer_brings_markup_or_sends_requests(say: Callable[[str], Page]) -> None:
    with canary() as listener:
        away = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for payload in hostile(away):
            page = say(payload)
            seen: dict[str, Any] = page.evaluate(SEEN)
            assert seen["forbidden"] == 0, payload
            assert seen["overlays"] == 0, payload
            assert seen["title"] == "Edge-VL", payload
            assert seen["shown"] != "none", payload
            assert seen["at"], payload
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "text",
    [
        "if a<b and c>d then",
        "List<String> names = new ArrayList<>();",
        "<textarea> and </div> and <!-- this -->",
        "<div>html</div>",
        "1 < 2 > 0, a<-b, x<<3, <3",
        "&lt; stays, &amp;lt; too, &amp; and AT&T",
        "<T extends Comparable<T>> void sort(List<? super T> a)",
    ],
)
def test_text_in_angle_brackets_is_shown_as_it_is(
    say: Callable[[str], Page], text
) -> None:
    page = say(text)
    shown = text.replace("&amp; and", "& and")
    for turn in ("user", "bot"):
        [found] = page.locator(f"#chat .{turn} .prose").all()
        assert found.inner_text().strip() == shown


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("`List<String>`", "List<String>"),
        ("Say `a<b and c>d` and `<div>`", "a<b and c>d"),
        (
            "```java\nList<String> x = f(a<b, c>d);\n```",
            "List<String> x = f(a<b, c>d);",
        ),
        ("~~~\n<form action='x'>\n&lt;\n~~~", "<form action='x'>\n&lt;"),
        ("``` mermaid\ngraph TD\n```", "graph TD"),
        ("```mermaid\ngraph TD\n```", "graph TD"),
    ],
)
def test_code_is_shown_as_it_is(
    say: Callable[[str], Page], text: str, code: str
) -> None:
    found = say(text).locator("#chat .bot code").first
    assert (found.inner_text() or "").strip() == code


def test_markdown_is_drawn(say: Callable[[str], Page]) -> None:
    page = say("# Title\n\n**bold** and *soft*\n\n- one\n- two\n\n| a |\n|---|\n| b |")
    prose = page.locator("#chat .bot .prose")
    for tag, text in (("h1", "Title"), ("strong", "bold"), ("em", "soft"), ("td", "b")):
        assert prose.locator(tag).first.inner_text() == text
    assert prose.locator("li").count() == 2


def test_a_bug_is_shown_and_the_page_stays_usable(
    say: Callable[[str], Page],
) -> None:
    """Whatever was raised in the middle of an answer."""
    page = say("fail")
    assert "Something went wrong" in page.locator("#chat .bot").inner_text()
    assert "again" in say("again").locator("#chat .bot").inner_text()


def test_more_text_than_the_page_sends_is_refused_in_words(
    echo: Site, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{echo.port}")
    box = page.get_by_role("textbox")
    expect(box).to_be_visible(timeout=20_000)
    box.fill("long " * 14_000)
    page.locator(SUBMIT).click()
    expect(page.get_by_text("too long for the page")).to_be_visible(timeout=10_000)
    box.fill("short")
    page.locator(SUBMIT).click()
    expect(page.locator("#chat .bot")).to_have_text("short", timeout=10_000)
    page.close()


def test_an_idle_page_asks_for_nothing(echo: Site, browser: Browser) -> None:
    """No polling and no open connection, however many pages there are."""
    page = browser.new_page()
    asked: list[str] = []
    ended: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfinished", lambda request: ended.append(request.url))
    page.on("requestfailed", lambda request: ended.append(request.url))
    page.goto(f"http://127.0.0.1:{echo.port}")
    expect(page.get_by_role("textbox")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(2000)
    n_asked = len(asked)
    page.wait_for_timeout(3000)
    assert len(asked) == n_asked
    assert sorted(asked) == sorted(ended)
    page.close()


def test_the_page_needs_no_script_that_its_policy_forbids(
    echo: Site, browser: Browser
) -> None:
    page, refusals = browser.new_page(), []
    page.on(
        "console", lambda m: refusals.append(m.text) if "Policy" in m.text else None
    )
    page.goto(f"http://127.0.0.1:{echo.port}")
    expect(page.get_by_role("textbox")).to_be_visible(timeout=20_000)
    ran = page.evaluate(
        """() => { const s = document.createElement('script');
        s.textContent = 'window.ran = 1'; document.body.append(s);
        return window.ran }"""
    )
    page.close()
    assert ran is None
    assert all("inline script" in text for text in refusals)

"""Answers as nodes: Markdown that models write, and what they must not get in."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

RENDER = """async text => {
  const { showMarkdown } = await import("/page/markdown/render.js");
  const host = document.createElement("div");
  document.body.append(host);
  showMarkdown(host, text);
  return host.innerHTML;
}"""


def rendered(page: Page, text: str) -> str:
    return str(page.evaluate(RENDER, text))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "<p>plain</p>"),
        ("a *b* **c** ***d*** ~~e~~", "<p>a <em>b</em> <strong>c</strong> "
         "<strong><em>d</em></strong> <del>e</del></p>"),
        ("2*3*4 and snake_case_name and __init__", "<p>2<em>3</em>4 and "
         "snake_case_name and <strong>init</strong></p>"),
        ("# One\n## Two\nthen", "<h2>One</h2><h3>Two</h3><p>then</p>"),
        ("Title\n===", "<h2>Title</h2>"),
        ("- a\n- b\n  - c\n", "<ul><li><span>a</span></li><li><span>b</span><ul><li>"
         "<span>c</span></li></ul></li></ul>"),
        ("3. x\n4. y", '<ol start="3"><li><span>x</span></li><li><span>y</span></li>'
         "</ol>"),
        ("> said\n> twice", "<blockquote><p>said\ntwice</p></blockquote>"),
        ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("```py\nx < 1\n```", '<pre tabindex="0"><code data-language="py">x &lt; 1'
         "</code></pre>"),
        ("```\nnot closed", '<pre tabindex="0"><code>not closed</code></pre>'),
        ("one  \ntwo", "<p>one<br>two</p>"),
        ("&lt; &amp; \\*x\\*", "<p>&lt; &amp; *x*</p>"),
    ],
)  # fmt: skip
def test_markdown_becomes_nodes(page: Page, text: str, html: str) -> None:
    assert rendered(page, text) == html


def test_a_table_scrolls_and_keeps_its_alignment(page: Page) -> None:
    html = rendered(page, "| Item | EUR |\n|:--|--:|\n| Milk \\| 1 l | 1.19 |\n")
    assert html.startswith('<div class="scroll" tabindex="0"><table>')
    assert '<th class="right" scope="col">EUR</th>' in html
    assert '<td class="left">Milk | 1 l</td><td class="right">1.19</td>' in html


def test_task_boxes_are_ticked(page: Page) -> None:
    html = rendered(page, "- [x] done\n- [ ] open")
    assert html.count('type="checkbox"') == 2
    assert html.count("checked") == 1


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("It is $x^2$.", ["x^2"]),
        (r"It is \(x^2\).", ["x^2"]),
        (r"\[x^2\]", ["x^2"]),
        ("$$\nx^2\n$$", ["x^2"]),
        ("The price is $5 and then $10.", []),
        ("`$x$`", []),
    ],
)
def test_formulas_are_found(page: Page, text: str, tex: list[str]) -> None:
    rendered(page, text)
    found = page.evaluate("[...document.querySelectorAll('.math')].map(n => n.title)")
    assert found == tex


@pytest.mark.parametrize(
    "text",
    [
        "<script>document.title='pwned'</script>",
        "<img src=x onerror=\"document.title='pwned'\">",
        "[click](javascript:alert(1))",
        "[click](data:text/html,<script>alert(1)</script>)",
        "![x](http://127.0.0.1:1/x.png)",
        "<iframe src=http://127.0.0.1:1></iframe>",
        "<a href='javascript:alert(1)'>x</a>",
        "<style>body{display:none}</style>",
        "| <img src=x onerror=alert(1)> |\n|--|\n| <svg onload=alert(1)> |",
        "$\\href{javascript:alert(1)}{x}$",
    ],
)
def test_html_is_shown_as_it_was_typed(page: Page, text: str) -> None:
    html = rendered(page, text)
    bad = page.locator("body :is(img, script, iframe, style, svg)")
    links = page.locator("body :is([href^=javascript], [href^=data])")
    assert bad.count() + links.count() == 0, html
    assert page.title() != "pwned"


def test_blocks_that_are_shown_keep_their_nodes(page: Page) -> None:
    kept: Any = page.evaluate(
        """async () => {
          const { showMarkdown } = await import("/page/markdown/render.js");
          const host = document.createElement("div");
          showMarkdown(host, "# One\\n\\nfirst\\n\\nsec");
          const before = [...host.children];
          showMarkdown(host, "# One\\n\\nfirst\\n\\nsecond");
          return [...host.children].map((node, n) => node === before[n]);
        }"""
    )
    assert kept == [True, True, False]


@pytest.mark.parametrize(
    "text",
    ["*" * 20_000, "_a" * 10_000, "[" * 20_000, "`" * 19_999, "> " * 10_000,
     "- " * 10_000, "$" * 20_000, "<" * 20_000, "|a" * 10_000 + "\n" + "|-" * 10_000,
     "**a " * 5_000, "![](" * 5_000],
    ids=range(11),
)  # fmt: skip
def test_no_text_keeps_the_page_busy(page: Page, text: str) -> None:
    rendered(page, "")  # loads the modules
    measure = (
        f"async text => {{ const t = performance.now(); await ({RENDER})(text); "
        "return performance.now() - t; }"
    )
    # the machine may stand still, but not each time
    assert any(page.evaluate(measure, text) < 5000 for _ in range(3))

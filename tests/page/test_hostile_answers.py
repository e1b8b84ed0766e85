"""No answer can affect the page that shows it (W18, F14): the model repeats what a
picture says, and a picture may say anything."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.security.conftest import canary

pytestmark = pytest.mark.browser


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


SHOW = """async text => {
  const { showMarkdown } = await import("/page/markdown/render.js");
  const host = document.createElement("div");
  document.body.replaceChildren(host);
  for (let n = 1; n < text.length; n += 7) showMarkdown(host, text.slice(0, n));
  showMarkdown(host, text);
  await new Promise(done => setTimeout(done, 20));
  const inside = [...host.querySelectorAll("*")];
  const kept = "A B BLOCKQUOTE BR BUTTON CODE DEL DIV EM H3 H4 H5 H6 HR INPUT LI OL " +
    "P PRE SPAN STRONG TABLE TBODY TD TH THEAD TR UL";
  const names = inside.flatMap(e => [...e.attributes].map(a => a.name));
  const links = inside.map(e => e.getAttribute("href")).filter(href => href);
  return {
    elements: inside.map(e => e.tagName).filter(n => !kept.split(" ").includes(n)),
    handlers: names.filter(name => /^on|^style$|^src|^action$/.test(name)),
    inputs: inside.filter(e => e.tagName === "INPUT" && e.type !== "checkbox").length,
    scripts: links.filter(href => !/^https?:/.test(href)).length,
    title: document.title,
    text: host.textContent,
  };
}"""


def test_no_answer_brings_markup_or_sends_requests(page: Page) -> None:
    with canary() as listener:
        away = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for payload in hostile(away):
            seen: dict[str, Any] = page.evaluate(SHOW, payload)
            nothing = {"elements": [], "handlers": [], "inputs": 0, "scripts": 0}
            assert seen | nothing | {"title": "Test"} == seen, payload
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
        "<T extends Comparable<T>> void sort(List<? super T> a)",
    ],
)
def test_text_in_angle_brackets_is_shown_as_it_is(page: Page, text: str) -> None:
    assert page.evaluate(SHOW, text)["text"] == text

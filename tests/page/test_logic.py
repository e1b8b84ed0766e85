"""The page's rules without a page: progress, requests, marks, languages, CSV."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def run(page: Page, module: str, body: str, *arguments: Any) -> Any:
    """The result of `body`, in which `m` is the module and `a` the arguments."""
    return page.evaluate(
        f"async a => {{ const m = await import('/page/{module}'); {body} }}",
        list(arguments),
    )


STEPS = """
const p = new m.Progress(0, {queue: 10, encode: 8, prefill: 1, decode: 6});
const seen = [];
let now = 0;
for (const [event, ms] of a[0]) {
  if (typeof event === "string") p.observeText(event, now);
  else if (event) p.observe(event, now);
  for (let t = 0; t < ms; t += 250) {
    now += 250;
    seen.push([p.fraction(now), p.left(now), p.stage]);
  }
}
return seen;
"""


def queue(position: int, starts_in_s: float) -> dict[str, Any]:
    return {"stage": "queue", "position": position, "starts_in_s": starts_in_s}


def encode(done: int) -> dict[str, Any]:
    return {"stage": "encode", "picture": 0, "n_pictures": 1, "done": done, "of": 24}


@pytest.mark.parametrize(
    "events",
    [
        [(queue(1, 2), 2000), (encode(0), 2000), (encode(12), 2000), ("text", 4000)],
        [(queue(3, 5), 5000), (queue(3, 60), 9000), (queue(2, 50), 9000)],
        [(encode(1), 60_000), (encode(2), 60_000)],  # much slower than estimated
        [
            ("text", 5000),
            ({"stage": "queue", "is_retried": True}, 5000),
            (queue(1, 9), 5000),
        ],
        [(None, 120_000)],
        [("thoughts", 30_000), ("text", 4000)],
    ],
    ids=["usual", "the queue grows", "slow", "retried", "silence", "thoughts"],
)
def test_the_bar_never_runs_back_and_never_ends(page: Page, events: Any) -> None:
    seen = run(page, "progress.js", STEPS, events)
    fractions = [fraction for fraction, _, _ in seen]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert all(left > 0 for _, left, _ in seen)


def test_thoughts_are_thinking_and_text_is_writing(page: Page) -> None:
    seen = run(page, "progress.js", STEPS, [("thoughts", 250), ("text", 250)])
    assert [stage for _, _, stage in seen] == ["prefill", "decode"]


def test_only_answered_questions_go_to_the_model(page: Page) -> None:
    def message(n: int, role: str, text: str, state: str = "done") -> dict[str, Any]:
        return {
            "id": str(n),
            "role": role,
            "text": text,
            "pictures": [],
            "state": state,
        }

    path = [
        message(1, "user", "first"),
        message(2, "assistant", "one"),
        message(3, "user", "refused"),
        message(4, "assistant", "", "failed"),
        message(5, "user", "stopped at once"),
        message(6, "assistant", "", "stopped"),
        message(7, "user", "stopped later"),
        message(8, "assistant", "half an an", "stopped"),
        message(9, "user", "now"),
    ]
    body = """const read = async () => null;
      const needs = {mostPictures: 8, defaultQuestion: "?", read};
      const once = () => m.requestBody(a[0], {}, needs);
      return [await once(), await once()];"""
    first, second = run(page, "request.js", body, path)
    assert first == second  # the same key needs the same bytes
    sent = page.evaluate("text => JSON.parse(text).messages.map(m => m.content)", first)
    assert sent == ["first", "one", "stopped later", "half an an", "now"]


def test_the_newest_pictures_are_sent(page: Page) -> None:
    turns = [
        {"pictures": [{"sha256": f"{turn}{n}"} for n in range(5)]} for turn in range(2)
    ]
    sent = run(page, "request.js", "return m.sentPictures(a[0], 8, ['11'])", turns)
    assert [one["sha256"] for one in sent] == [
        "01", "02", "03", "04", "10", "12", "13", "14"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ('[{"bbox_2d": [100, 200, 300, 400], "label": "cup"}]',
         [{"id": "0", "label": "cup", "x": 0.1, "y": 0.2, "width": 0.2,
           "height": 0.2}]),
        ('```json\n[{"point_2d": [500, 250], "label": "eye"}, {"bbox_2d": [1, 2',
         [{"id": "0", "label": "eye", "x": 0.5, "y": 0.25}]),
        ('{"bbox_2d": [300, 200, 100, 400], "label": "turned"}', []),
        ('{"bbox_2d": [-1, 200, 5000, 400]}', []),
        ("no marks { at } all", []),
    ],
)  # fmt: skip
def test_marks_are_read_from_answers(page: Page, text: str, marks: Any) -> None:
    found = run(page, "marks.js", "return m.marksIn(a[0])", text)
    rounded = [
        {k: round(v, 6) if isinstance(v, float) else v for k, v in one.items()}
        for one in found
    ]
    assert rounded == marks


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (["zh-HK"], "zh-HK"),
        (["zh-Hant-TW"], "zh-TW"),
        (["zh"], "zh-CN"),
        (["zh-SG"], "zh-CN"),
        (["fr-CA", "en"], "fr"),
        (["pt-BR", "es-MX"], "es"),
        (["xx"], "en"),
        (["", "de"], "de"),
    ],
)
def test_a_language_is_found(page: Page, tags: list[str], language: str) -> None:
    assert run(page, "words.js", "return m.languageFor(a[0])", tags) == language


def test_a_table_is_copied_as_csv(page: Page) -> None:
    body = """const { showMarkdown } = await import("/page/markdown/render.js");
      const host = document.createElement("div");
      showMarkdown(host, a[0]);
      return m.tablesAsCsv(host);"""
    text = '| a | b |\n|--|--|\n| 1,5 | say "x" |\n| =1+1 | -3 |\n'
    assert run(page, "clipboard.js", body, text) == (
        'a,b\r\n"1,5","say ""x"""\r\n\'=1+1,-3'
    )


def test_words_are_counted_in_both_scripts(page: Page) -> None:
    body = "return a.map(m.countWords)"
    assert run(page, "words.js", body, "a red circle", "红色的圆", "") == [3, 4, 0]

"""The page's rules without a page: progress, requests, marks, languages, CSV."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from edge.qwen3vl.tasks import TASKS

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
    sent = run(
        page, "request.js", "return m.sentPictures(a[0], 8, {without: ['11']})", turns
    )
    assert [one["sha256"] for one in sent] == [
        "01", "02", "03", "04", "10", "12", "13", "14"
    ]  # fmt: skip


def test_a_question_about_each_page_goes_on_without_one_that_is_gone(
    page: Page,
) -> None:
    pages = [{"sha256": str(n), "name": f"{n}"} for n in range(9)]
    before = {"role": "user", "text": "q", "pictures": [{"sha256": "x", "name": "x"}]}
    answer = {"role": "assistant", "text": "a", "pictures": [], "state": "done"}
    path = [before, answer, {"role": "user", "text": "now", "pictures": pages}]
    body = """
      const read = async (digest) => (digest === "3" ? null : new Blob([digest]));
      const needs = {mostPictures: 8, defaultQuestion: "?", read};
      const body = await m.requestBody(a[0], {per_page: true, without: ["3"]}, needs);
      return JSON.parse(body).messages;"""
    *_, asked = sent = run(page, "request.js", body, path)
    names = [one["file"]["filename"] for one in asked["content"][:-1]]
    assert names == [one["name"] for one in pages if one["name"] != "3"]
    assert sent[0]["content"] == "q"


def test_the_frames_of_a_video_are_one_of_the_pictures(page: Page) -> None:
    frames = [{"sha256": f"f{n}", "clip": "c", "seconds": n / 2} for n in range(20)]
    stills = [{"sha256": f"s{n}"} for n in range(8)]
    turns = [{"pictures": [*stills[:3], *frames]}, {"pictures": stills[3:]}]
    sent = run(page, "request.js", "return m.sentPictures(a[0], 7, {})", turns)
    assert sent == [*stills[2:3], *frames, *stills[3:]]
    body = "return [0, 3, 4, 23, 27].map((n) => m.without(a[0], n).length)"
    together = [*stills[:3], *frames, *stills[3:]]
    assert run(page, "clips.js", body, together) == [27, 8, 8, 27, 27]


def test_a_part_of_the_body_holds_a_whole_video(page: Page) -> None:
    frames = [{"sha256": str(n), "clip": "c", "seconds": n / 2} for n in range(2)]
    question = {"role": "user", "text": "now", "pictures": frames}
    body = """
      const read = async (digest) => new Blob([digest], {type: "image/jpeg"});
      return m.requestBody(a[0], {}, {mostPictures: 8, defaultQuestion: "?", read});
    """
    sent = json.loads(run(page, "request.js", body, [question]))
    assert sent["messages"][0]["content"][0] == {
        "type": "video",
        "video": [
            {"image": "data:image/jpeg;base64,MA==", "seconds": 0},
            {"image": "data:image/jpeg;base64,MQ==", "seconds": 0.5},
        ],
        "detail": "auto",
    }


@pytest.mark.parametrize(
    ("seconds", "n_frames"), [(0.5, 4), (3, 6), (3.6, 6), (10, 20), (100, 32)]
)
def test_frames_are_spread_evenly_over_a_video(
    page: Page, seconds: float, n_frames: int
) -> None:
    times = run(page, "videos.js", "return m.sampleTimes(a[0], 32)", seconds)
    assert len(times) == n_frames and times[0] == 0
    assert times[-1] == pytest.approx(seconds - 0.05)
    assert run(page, "clips.js", "return m.clock(a[0])", 65.24) == "1:05.2"


SENT = [{"sha256": "a"}, {"sha256": "b"}]
GROUNDING = [
    {
        "picture": 0,
        "label": "cup",
        "bbox_2d": [100, 200, 300, 400],
        "box_px": [1, 2, 3, 4],
    },
    {"picture": 1, "label": "eye", "point_2d": [500, 250], "point_px": [5, 2]},
    {"picture": 1, "label": "cup", "bbox_2d": [0, 0, 1000, 1000]},
    {"picture": 2, "label": "of a picture that is not there", "point_2d": [1, 1]},
]


def test_marks_lie_on_their_pictures_in_the_colour_of_their_label(page: Page) -> None:
    found = run(page, "marks.js", "return m.marksOf(...a)", GROUNDING, SENT)
    cup, eye, other = found
    assert cup == pytest.approx(
        cup | {"sha256": "a", "hue": 0, "x": 0.1, "y": 0.2, "id": "0"}
    )
    assert (cup["width"], cup["height"]) == pytest.approx((0.2, 0.2))
    assert (eye["sha256"], eye["hue"], eye["x"], "width" in eye) == ("b", 1, 0.5, False)
    assert (other["id"], other["hue"], other["width"]) == ("2", 0, 1)


def test_marks_are_exported_in_pixels_of_the_chosen_pictures(page: Page) -> None:
    marks = run(page, "marks.js", "return m.marksOf(...a)", GROUNDING, SENT)
    pictures = [
        {"sha256": "a", "name": "=a.png", "width": 2000, "height": 1000},
        {"sha256": "b", "name": "b.png", "width": 400, "height": 300},
    ]

    def file(kind: str) -> Any:
        body = "return await m.marksFile(...a).text()"
        return run(page, "marks_file.js", body, kind, marks, pictures)

    a = {"picture": "=a.png", "size": [2000, 1000]}
    b = {"picture": "b.png", "size": [400, 300]}
    assert json.loads(file("json")) == [
        a | {"label": "cup", "box": [200, 200, 600, 400]},
        b | {"label": "eye", "point": [200, 75]},
        b | {"label": "cup", "box": [0, 0, 400, 300]},
    ]
    assert file("csv").split("\r\n") == [
        "picture,label,left,top,right,bottom,width,height",
        "'=a.png,cup,200,200,600,400,2000,1000",
        "b.png,eye,200,75,200,75,400,300",
        "b.png,cup,0,0,400,300,400,300",
        "",
    ]
    coco = json.loads(file("coco"))
    assert [one["file_name"] for one in coco["images"]] == ["=a.png", "b.png"]
    assert [one["name"] for one in coco["categories"]] == ["cup", "eye"]
    assert coco["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [200, 200, 400, 200],
        "area": 80_000,
        "iscrowd": 0,
    }


@pytest.mark.parametrize(
    ("tag", "task", "words", "prompt"),
    [
        ("en", "describe", "", "Describe this picture."),
        ("de", "describe", "", "Describe this picture. Answer in Deutsch."),
        ("zh-CN", "describe", "", "请描述这张图片的内容。"),
        ("zh-TW", "describe", "", "请描述这张图片的内容。请用Deutsch回答。"),
        (
            "en",
            "read",
            "only the date",
            "Read all the text in the image.\nonly the date",
        ),
        ("de", "translate", "", "Translate the text in this picture into Deutsch."),
        ("en", "count", "$& cups", "How many $& cups are there in this picture?"),
    ],
)
def test_a_task_is_asked_in_the_language_of_the_page(
    page: Page, tag: str, task: str, words: str, prompt: str
) -> None:
    language = {"tag": tag, "name": "Deutsch"}
    given = TASKS[task].to_json(), words, language
    assert run(page, "ready_task.js", "return m.promptOf(...a)", *given) == prompt


def test_what_the_person_has_set_goes_before_a_task(page: Page) -> None:
    body = "return m.settingsOf(...a)"
    read = TASKS["read"].to_json()
    usual = run(page, "ready_task.js", body, read, {})
    assert (usual["detail"], usual["max_tokens"]) == ("high", 2048)
    assert usual["temperature"] == 0.7
    own = {"detail": "low", "max_tokens": 64, "temperature": 0.1}
    assert run(page, "ready_task.js", body, read, own) == own
    fields = run(page, "ready_task.js", body, TASKS["fields"].to_json(), {})
    assert fields["response_format"]["json_schema"]["schema"] == TASKS["fields"].schema


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (["zh-HK"], "zh-HK"),
        (["zh-Hant-TW"], "zh-TW"),
        (["zh-Hant-MO"], "zh-HK"),
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


def test_a_formula_is_copied_as_it_was_written(page: Page) -> None:
    """KaTeX has each as text for readers, as its source, and as it is drawn."""
    body = """const { showMarkdown } = await import("/page/markdown/render.js");
      const host = document.createElement("div");
      document.body.append(host);
      showMarkdown(host, a[0]);
      for (const one of host.querySelectorAll(".math")) one.replaceChildren("x2x^2x2");
      return [m.textOf(host), m.tablesAsCsv(host), document.body.children.length];"""
    text = "It is $x^2$.\n\nYes.\n\n| a | b |\n|--|--|\n| $x^2$ | 1 |\n"
    copied, table, n_nodes = run(page, "clipboard.js", body, text)
    assert copied.split() == ["It", "is", "x^2.", "Yes.", "a", "b", "x^2", "1"]
    assert copied.startswith("It is x^2.\n\nYes.")
    assert (table, n_nodes) == ("a,b\r\nx^2,1", 1)


def test_words_are_counted_in_both_scripts(page: Page) -> None:
    body = "return a.map(m.countWords)"
    assert run(page, "words.js", body, "a red circle", "红色的圆", "") == [3, 4, 0]

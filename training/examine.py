"""Measure the accuracy of a pair of GGUF files in the serving engine.

    python -m training.examine --model FILE --mmproj FILE --out training/results

Writes the share of correct answers for each kind of question, and a page of pictures
with questions and answers.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import typer
from PIL import Image, ImageDraw, ImageFont, ImageOps

from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.events import Failed, Finished, Token
from edge.models.registry import TINY_FOLDER, ModelFiles
from edge.qwen3vl.rerank import DOCUMENT, NO, YES
from edge.request import Message, Request, SamplingParams
from edge.serving.build import build_engine
from edge.serving.plan import make_plan
from edge.settings import Settings
from training.examination import Item, examination
from training.marking import is_right

LONGEST: Final = 128  # tokens of an answer
AT_ONCE: Final = 4


def answers(engine: Engine, items: list[Item]) -> list[str]:
    """The engine's greedy answers, and "yes" or "no" by the score of a reranker, four
    questions at a time."""
    texts: list[str] = []
    for i in range(0, len(items), AT_ONCE):
        tickets = [_ask(engine, item) for item in items[i : i + AT_ONCE]]
        texts += map(_text, tickets)
    return texts


def _ask(engine: Engine, item: Item) -> Ticket:
    request = Request(item.messages, SamplingParams(max_tokens=LONGEST))
    if item.question.kind.startswith("rerank"):
        system, (query, document) = item.messages[0], item.messages[1].content
        assert isinstance(query, str)
        before = Message("user", (query.removesuffix(DOCUMENT),))
        after = Message("user", (DOCUMENT, document))
        request = Request((system, before, after), SamplingParams(1), wants="score")
    return engine.submit(request, {p.ref.sha256: p for p in item.pictures})


def _text(ticket: Ticket) -> str:
    text = ""
    while not isinstance(event := ticket.next(), Finished):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Token):
            text += event.text
    if scores := event.answer.scores:
        return YES if scores[0] > 0.5 else NO
    return text


def table(items: list[Item], right: list[bool]) -> str:
    """Markdown: one row per kind, with English and Chinese separately."""
    marks: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for item, mark in zip(items, right, strict=True):
        marks[item.question.kind, item.question.language].append(mark)
    rows = ["| kind | questions | right | English | Chinese |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _ in marks):
        english, chinese = marks[kind, "en"], marks[kind, "zh"]
        both = english + chinese
        shares = " | ".join(f"{_percent(some)}" for some in (both, english, chinese))
        rows.append(f"| {kind} | {len(both)} | {shares} |")
    rows.append(f"| **all** | {len(right)} | {_percent(right)} | | |")
    return "\n".join(rows) + "\n"


def _percent(marks: list[bool]) -> str:
    return f"{100 * sum(marks) / len(marks):.1f} %" if marks else ""


def page(items: list[Item], texts: list[str], right: list[bool]) -> Image.Image:
    """Pictures with question, answer, and the correct answer if different. Half of the
    page shows wrong answers, which are more informative."""
    drawn = [(n, mark) for n, mark in enumerate(right) if items[n].image]
    wrong = [n for n, mark in drawn if not mark][::7][:18]
    shown = wrong + [n for n, mark in drawn if mark][::7][: 36 - len(wrong)]
    side, columns = 250, 6
    sheet = Image.new(
        "RGB", (columns * side, -(-len(shown) // columns) * side), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for at, n in enumerate(shown):
        x, y = at % columns * side + 10, at // columns * side + 10
        small = ImageOps.expand(items[n].image, 1, "#ccc")
        small.thumbnail((side - 20, side - 90))
        sheet.paste(small, (x, y))
        question = items[n].question
        lines = [(question.text, "#444"), (texts[n], "#080" if right[n] else "#b00")]
        if not right[n]:
            lines.append((question.answer, "#888"))
        for k, (line, colour) in enumerate(lines):
            pen.text((x, y + side - 80 + 20 * k), _cut(line), colour, _font())
    return sheet


def _cut(line: str, width: int = 232) -> str:
    while _font().getlength(line) > width:
        line = line.rstrip("…")[:-1] + "…"
    return line


@cache
def _font() -> ImageFont.FreeTypeFont:
    """A font of this machine with Chinese characters."""
    command = ["fc-match", "--format=%{file}", ":lang=zh-cn"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return ImageFont.truetype(path, 13)


def main(
    model: Path = TINY_FOLDER / "tiny.gguf",
    mmproj: Path = TINY_FOLDER / "mmproj-tiny.gguf",
    out: Annotated[Path | None, typer.Option(help="Table and page go here.")] = None,
    per_kind: int = 200,
    seed: int = 2026,
) -> None:
    items = examination(seed, per_kind)
    settings = Settings(model=str(model), mmproj=str(mmproj))
    plan = make_plan(settings, ModelFiles("tiny", model, mmproj))
    with closing(build_engine(plan)) as engine:
        texts = answers(engine, items)
    right = [is_right(i.question, t) for i, t in zip(items, texts, strict=True)]
    print(table(items, right))
    for item, text, mark in zip(items, texts, right, strict=True):
        if not mark:
            print(f"{item.question.text} | {item.question.answer} | {text}")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "examination.md").write_text(table(items, right))
        page(items, texts, right).save(out / "examination.webp", quality=80)


if __name__ == "__main__":
    typer.run(main)

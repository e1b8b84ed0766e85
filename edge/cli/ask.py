"""The command `edge ask`: an answer, or one for each page, without a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from edge import images
from edge.cli.draw import annotated, check_target, save
from edge.cli.errors import clear_errors
from edge.cli.options import Mmproj, Model, settings_with
from edge.cli.pages import Page, content_of, is_file, named, pages_of
from edge.engine.batch import Batch
from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.errors import SetupError
from edge.events import Embedded, Failed, Finished, Started, Token
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.qwen3vl.tasks import TASKS, Task, find_task
from edge.request import Answer, Message, Request, SamplingParams
from edge.schemas.reading import read
from edge.serving.build import build_engine
from edge.serving.installed import has_llama
from edge.serving.plan import make_plan
from edge.videos import Clip, video_budget


def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... QUESTION",
            help="Pictures, PDFs, TIFFs and videos; then what you want to know.",
        ),
    ],
    model: Model = None,
    mmproj: Mmproj = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = None,
    pages: Annotated[
        str, typer.Option(help="Pages of documents, as 1-3,7,10-. All, if not given.")
    ] = "",
    per_page: Annotated[
        bool, typer.Option("--per-page", help="An answer to each picture and page.")
    ] = False,
    task: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(TASKS)}. The question may be left out, or are its "
            "words: `edge ask photo.jpg cups --task locate`."
        ),
    ] = "",
    draw: Annotated[
        Path | None, typer.Option(help="Writes pictures with the boxes found: a PNG.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Prints JSON when all is answered.")
    ] = False,
) -> None:
    """Answer a question about pictures, documents and videos in this process, without
    a server."""
    with clear_errors():
        ready = find_task(task) if task else None
        files, question = _split(words, may_lack_question=bool(task))
        if draw:
            check_target(draw)
        settings = settings_with(model, mmproj, slots=1)
        # OpenVINO loads longer than one answer saves
        if settings.runtime == "auto" and has_llama():
            settings = replace(settings, runtime="llama")
        found = [*pages_of(files, pages)]
        if draw and all(page.is_video for page in found):
            raise SetupError("Boxes are not drawn on videos: leave --draw out.")
        for page in found:  # refused now, not after a model is downloaded
            with named(page.label):
                page.check(settings.image_tokens)
        plan = make_plan(settings, find_model(settings, obtain))
        detail = ready.detail if ready else "auto"
        bounds = PictureBounds.of(detail, plan.min_image_tokens, plan.max_image_tokens)
        video_tokens = video_budget(detail, settings.video_tokens)
        prompt = ready.prompt(question) if ready else question
        sampling = _sampling(ready, settings.answer_tokens)
        if max_tokens:
            sampling = replace(sampling, max_tokens=max_tokens)
        answers: list[dict[str, Any]] = []
        drawn: list[Image.Image] = []
        with closing(build_engine(plan)) as engine:
            for group in [[page] for page in found] if per_page else [found]:
                label = group[0].label if per_page else ""
                if label and not as_json:
                    print("\n" * bool(answers) + f"## {label}\n")
                shown = [(page, page.decoded(bounds, video_tokens)) for page in group]
                for page, seen in shown:
                    if isinstance(seen, Clip):
                        print(f"[{page.label}: {seen.ref.about}]", file=sys.stderr)
                ticket = _submit(engine, shown, prompt, sampling)
                answer = _follow(ticket, is_quiet=as_json)
                answers.append(_told(label, answer))
                stills = [seen for _, seen in shown if not isinstance(seen, Clip)]
                drawn += annotated(stills, answer.marks)
        if draw:
            save(drawn, draw)
        if as_json:
            print(json.dumps({"answers": answers}, ensure_ascii=False, indent=2))


def _split(words: list[str], *, may_lack_question: bool) -> tuple[list[Path], str]:
    """Files, and the question behind them."""
    *files, last = words
    if may_lack_question and is_file(Path(last)):
        return [Path(word) for word in words], ""
    if not files:
        raise SetupError(
            "Write the file of a picture and then a question, or choose a --task."
        )
    return [Path(file) for file in files], last


def _sampling(task: Task | None, most: int) -> SamplingParams:
    """How a task samples; without one, an answer of at most `most` tokens."""
    if task is None:
        return SamplingParams(most)
    grammar = read(dict(task.schema)) if task.schema else ""
    return SamplingParams(task.max_tokens, grammar=grammar, **task.sampling)


def _submit(
    engine: Engine,
    shown: Sequence[tuple[Page, images.Picture | Clip]],
    question: str,
    sampling: SamplingParams,
) -> Ticket | Batch:
    request = Request((Message("user", content_of(shown, question)),), sampling)
    pictures = [
        picture
        for _, seen in shown
        for picture in (seen.pairs if isinstance(seen, Clip) else (seen,))
    ]
    return engine.submit(request, {one.ref.sha256: one for one in pictures})


def _told(label: str, answer: Answer) -> dict[str, Any]:
    return {
        "page": label or None,
        "content": answer.text,
        "grounding": [mark.described() for mark in answer.marks],
        "finish_reason": answer.finish_reason,
        "usage": asdict(answer.usage),
        "timings": asdict(answer.timings),
    }


def _follow(ticket: Ticket | Batch, *, is_quiet: bool) -> Answer:
    """Prints the answer on stdout as it grows, unless `is_quiet`, and progress on
    stderr. Raises the EdgeError of one that fails."""
    while True:
        match ticket.next():
            case Started(n_tokens):
                print(f"[{n_tokens} prompt tokens]", file=sys.stderr)
            case Embedded(n_tokens):
                print(f"[picture read, {n_tokens} tokens]", file=sys.stderr)
            case Token(text) if not is_quiet:
                print(text, end="", flush=True)
            case Finished(answer):
                times = answer.timings
                if answer.n_first:
                    print("\n[only the first frame or page was read]", file=sys.stderr)
                print("" if is_quiet else "\n", end="", flush=True)
                print(
                    f"[{answer.usage.completion_tokens} tokens, first after "
                    f"{times.ttft_ms / 1000:.1f} s, then {times.tpot_ms:.0f} ms each]",
                    file=sys.stderr,
                )
                return answer
            case Failed() as failed:
                raise failed.error

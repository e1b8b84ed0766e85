"""The command `edge ask`: one answer, without a server."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edge import images
from edge.cli.draw import annotated
from edge.cli.errors import clear_errors
from edge.cli.options import Mmproj, Model, settings_with
from edge.engine.batch import Batch
from edge.engine.ticket import Ticket
from edge.errors import SetupError
from edge.events import Embedded, Failed, Finished, Started, Token
from edge.images.claim import claim_of
from edge.models.registry import find_model
from edge.models.store import obtain
from edge.qwen3vl.picture_bounds import PictureBounds
from edge.qwen3vl.tasks import TASKS, find_task
from edge.request import Answer, Message, Request, SamplingParams
from edge.schemas.reading import read
from edge.serving.build import build_engine
from edge.serving.installed import has_llama
from edge.serving.plan import make_plan


def ask(
    picture: Annotated[Path, typer.Argument(help="A file of a picture.")],
    question: Annotated[str, typer.Argument(help="What you want to know.")] = "",
    model: Model = None,
    mmproj: Mmproj = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    task: Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}.")] = "",
    draw: Annotated[
        Path | None, typer.Option(help="Write the picture with its boxes here, a PNG.")
    ] = None,
) -> None:
    """Answer one question in this process, without a server.

    With a task the question may be left out: `edge ask photo.jpg cups --task locate`.
    """
    with clear_errors():
        if not question and not task:
            raise SetupError("Write a question behind the picture, or choose a --task.")
        ready = find_task(task) if task else None
        settings = settings_with(model, mmproj, slots=1)
        # OpenVINO loads longer than one answer saves
        if settings.runtime == "auto" and has_llama():
            settings = replace(settings, runtime="llama")
        if not picture.is_file():
            raise SetupError(f"There is no picture at {picture}.")
        encoded = picture.read_bytes()
        if claim_of(encoded) is None:  # refused now, not after a model is downloaded
            images.vet(encoded, settings.image_tokens)
        plan = make_plan(settings, find_model(settings, obtain))
        detail: images.Detail = "auto"
        sampling = SamplingParams(settings.answer_tokens)
        if ready:
            question, detail = ready.prompt(question), ready.detail
            sampling = SamplingParams(
                ready.max_tokens,
                grammar=read(ready.schema) if ready.schema else "",
                **ready.sampling,
            )
        sampling = replace(sampling, max_tokens=max_tokens or sampling.max_tokens)
        bounds = PictureBounds.of(detail, plan.min_image_tokens, plan.max_image_tokens)
        vetted = images.vet(encoded, bounds.most, bounds.grid_size(encoded))
        request = Request((Message("user", (vetted.ref, question)),), sampling)
        with closing(build_engine(plan)) as engine:
            answer = _answer(engine.submit(request, {vetted.ref.sha256: vetted}))
        if draw:
            annotated(vetted, answer.marks).save(draw, "PNG")


def _answer(ticket: Ticket | Batch) -> Answer:
    """Prints the answer on stdout as it grows, and progress on stderr."""
    while True:
        match ticket.next():
            case Started(n_tokens):
                print(f"[{n_tokens} prompt tokens]", file=sys.stderr)
            case Embedded(n_tokens):
                print(f"[picture read, {n_tokens} tokens]", file=sys.stderr)
            case Token(text):
                print(text, end="", flush=True)
            case Finished(answer):
                times = answer.timings
                if answer.n_first:
                    print("\n[only the first frame or page was read]", file=sys.stderr)
                print(
                    f"\n[{answer.usage.completion_tokens} tokens, first after "
                    f"{times.ttft_ms / 1000:.1f} s, then {times.tpot_ms:.0f} ms each]",
                    file=sys.stderr,
                )
                return answer
            case Failed() as failed:
                raise failed.error

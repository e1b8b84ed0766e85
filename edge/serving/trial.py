"""`python -m edge.serving.trial`: measures one variant with a short pair of files.

A child process of `tune.py`, so that a crash or a hang in a library ends only this
trial. It reads a JSON object from stdin and prints a JSON list for each size: rows of a
step or image tokens of a picture, and its milliseconds with the short model.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge.engine.protocols import Runtime, VisionTower
from edge.engine.step import Step, TextSpan
from edge.errors import EdgeError
from edge.huge_pages import collapse_pages
from edge.images import TOKEN_PX, Picture
from edge.models.registry import ModelFiles
from edge.request import SamplingParams
from edge.serving.build import build_runtime, build_tower
from edge.serving.choice import Measured
from edge.serving.plan import make_plan
from edge.serving.variants import Variant
from edge.settings import Settings

CONTEXT: Final = 320  # tokens before those of a step
N_SLOTS: Final = 4
N_CELLS: Final = 1024
TOKEN: Final = 10  # which one does not matter
MOST_RUNS: Final = 7
ENOUGH_S: Final = 0.4  # for one size

Tell = Callable[[int, float], None]


def main() -> None:
    with suppress(OSError):  # where memory ends, this process does, and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    task = json.load(sys.stdin)
    try:
        measure(task, lambda size, ms: print(json.dumps([size, ms]), flush=True))
    except EdgeError as error:
        sys.exit(" ".join(error.message.split()))


def measure(task: dict[str, Any], tell: Tell) -> None:
    """Measures the variant that `task` describes and tells size and milliseconds.
    Raises EdgeError when it cannot serve the files or compute here."""
    variant = Variant.of(task["variant"])
    model, mmproj = map(Path, task["files"])
    files = ModelFiles("short", model, mmproj)
    settings = replace(
        Settings.load(),
        runtime=variant.runtime,  # by name: it must not fall back
        vision=variant.vision if variant.part == "vision" else "auto",
        data_dir=Path(task["folder"]),
        slots=N_SLOTS,
        context_tokens=N_CELLS,
        kept=0,
        chunk_tokens=max(task["sizes"]),
    )
    plan = make_plan(settings, files, use_tuning=False)
    one = Measured(variant)
    if variant.part == "vision":
        plan = replace(plan, choice=replace(plan.choice, vision=one))
        with closing(build_tower(plan)) as tower:
            measure_tower(tower, task["sizes"], tell)
        return
    plan = replace(plan, choice=replace(plan.choice, language=one))
    with closing(build_runtime(plan)) as runtime:
        measure_steps(runtime, task["sizes"], tell)


def measure_steps(runtime: Runtime, sizes: list[int], tell: Tell) -> None:
    """Steps of `sizes` rows: of one token for each slot, or of a piece of a prompt."""
    for slot in range(N_SLOTS):
        runtime.open(slot, SamplingParams())
    for start in range(0, CONTEXT, CONTEXT // 4):
        runtime.run(Step((TextSpan(0, start, (TOKEN,) * (CONTEXT // 4)),)))
    for slot in range(1, N_SLOTS):
        runtime.share(0, slot, CONTEXT)
    collapse_pages()
    for n_rows in sizes:
        n_slots = n_rows if n_rows <= N_SLOTS else 1
        tokens = (TOKEN,) * (n_rows // n_slots)
        wanted = (len(tokens) - 1,)
        spans = (TextSpan(slot, CONTEXT, tokens, wanted) for slot in range(n_slots))
        step = Step(tuple(spans))

        def run(step: Step = step) -> float:
            begun, own = time.perf_counter(), time.thread_time()
            runtime.run(step)
            own, seconds = time.thread_time() - own, time.perf_counter() - begun
            for slot in step.slots:
                runtime.rewind(slot, CONTEXT)
            # With OpenVINO this thread's own work is not part of the layers; llama.cpp
            # computes in it.
            return seconds - (own if own < seconds / 2 else 0)

        tell(n_rows, fastest_ms(run))


def measure_tower(tower: VisionTower, sizes: list[int], tell: Tell) -> None:
    """Pictures of about `sizes` image tokens, three by four."""
    for n_tokens in sizes:
        columns = max(1, round(math.sqrt(n_tokens * 4 / 3)))
        width, height = TOKEN_PX * columns, TOKEN_PX * max(1, n_tokens // columns)
        picture = Picture(width, height, bytes(width * height * 3))
        rows, columns = tower.grid(width, height)

        def run(picture: Picture = picture) -> float:
            begun = time.perf_counter()
            tower.embed(picture)
            return time.perf_counter() - begun

        tell(rows * columns, fastest_ms(run))


def fastest_ms(run: Callable[[], float]) -> float:
    """The least milliseconds of some runs, which return seconds: other programs can
    only make them longer. The first one warms up, unless it is too long for that."""
    first = run()
    if first > ENOUGH_S:
        return 1000 * first
    seconds: list[float] = []
    while len(seconds) < MOST_RUNS and sum(seconds) < ENOUGH_S:
        seconds.append(run())
    return 1000 * min(seconds)


if __name__ == "__main__":
    main()

"""Measures which variants are fastest on this machine, a few seconds each: all of them
for `edge doctor --tune`, the likely ones at a first start.

A variant computes a short pair of files (`edge/gguf/short.py`) in a child process: one
that crashes, hangs or takes all memory there is never chosen. Times are those of the
whole model.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

from edge import host
from edge.errors import SetupError
from edge.gguf.header import read_header
from edge.gguf.short import text_ratio, vision_ratio, write_short
from edge.huge_pages import HUGE_PAGES
from edge.models.pair import LLAMA_ONLY
from edge.models.registry import ModelFiles, models_folder
from edge.serving.choice import PICTURE_TOKENS, Measured, fastest_language, merge
from edge.serving.plan import make_plan
from edge.serving.report import describe, standard_ms
from edge.serving.tuning import Tuning, restrictions, this_machine
from edge.serving.variants import (
    LLAMA_KV,
    Part,
    Variant,
    language_variants,
    vision_variants,
)
from edge.settings import Settings
from edge.unfinished import unfinished

WITHIN_S: Final = 170.0
TRIAL_S: Final = 60.0  # at most, for one variant
LONGEST_PROBLEM: Final = 300  # characters of the reason why a trial failed
SHORTEST_S: Final = 1.0  # with less time left, none is started
ROWS: Final = (1, 2, 4, 16, 64, 256)  # of a step
PICTURES: Final = (PICTURE_TOKENS // 4, PICTURE_TOKENS)  # in image tokens
TRIAL: Final = (sys.executable, "-m", "edge.serving.trial")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Short:
    """The short pair of files in `folder`. `ratio` is how many times its work the whole
    pair has, of a part and for a size: rows of a step, image tokens of a picture."""

    folder: Path
    files: tuple[Path, Path]
    ratio: Callable[[Part, int], float]


def measure_variants(
    settings: Settings,
    files: ModelFiles,
    say: Say,
    within_s: float = WITHIN_S,
    *,
    is_brief: bool = False,
) -> Tuning:
    """Measures with these files and tells each result to `say`; starts nothing that
    would end after `within_s`. If it is not brief, the fastest ones are measured twice.

    Raises SetupError when the files cannot be served, or the short ones cannot be
    written.
    """
    ends = time.monotonic() + within_s
    make_plan(settings, files, use_tuning=False)  # raises
    if files.model_header.architecture == LLAMA_ONLY:
        raise SetupError(
            f"A {LLAMA_ONLY} model cannot be measured: only llama.cpp serves it, with "
            "its default kernels."
        )
    features = host.cpu().features
    variants = _alternating(
        language_variants(settings, features), vision_variants(settings, features)
    )
    folder = models_folder(settings)
    try:
        with unfinished(folder) as aside:
            short = _short(files, aside)
            measured = _measure(variants, settings, short, say, ends)
            if not is_brief and any(map(_has_times, measured)):
                near = _near(measured, settings)
                measured += _measure(near, settings, short, say, ends)
                say("The fastest ones again, because a machine's speed varies:")
                best = _fastest_first(measured)
                measured = _merged(measured, _measure(best, settings, short, say, ends))
    except OSError as error:
        raise SetupError(f"{folder} cannot be used for measuring: {error}.") from None
    return Tuning(
        measured=tuple(measured),
        is_brief=is_brief,
        date=date.today().isoformat(),
        made_for=this_machine(settings, files),
        restrictions=restrictions(settings),
    )


def _measure(
    variants: Iterable[Variant], settings: Settings, short: Short, say: Say, ends: float
) -> list[Measured]:
    """The results, in the order of `variants`. Starts none if all before took longer
    than what is left until `ends`, a time of the monotonic clock. The first one says
    little alone: it reads libraries from disk and takes twice as long as the next."""
    environ = HUGE_PAGES | settings.environ()
    taken_s: list[float] = []
    measured: list[Measured] = []
    n_skipped = 0
    for variant in variants:
        begun = time.monotonic()
        left_s = ends - begun
        if left_s < max(SHORTEST_S, min(taken_s, default=0)):
            n_skipped += 1
            continue
        result = run_trial(variant, short, environ, min(left_s, TRIAL_S))
        if result.problem and time.monotonic() >= ends:
            n_skipped += 1
            continue
        measured.append(result)
        say(describe(result))
        taken_s.append(time.monotonic() - begun)
    if n_skipped:
        say(f"No time left for {n_skipped} other variants.")
    return measured


def run_trial(
    variant: Variant, short: Short, environ: dict[str, str], within_s: float
) -> Measured:
    """Measures one variant in a child process of at most `within_s` seconds."""
    sizes = ROWS if variant.part == "language" else PICTURES
    task = {
        "variant": asdict(variant),
        "files": [str(path) for path in short.files],
        "folder": str(short.folder),
        "sizes": sizes,
    }
    try:
        ended = subprocess.run(
            TRIAL,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=within_s,
            env=environ,
            cwd=short.folder,
        )
    except subprocess.TimeoutExpired:
        return Measured(variant, problem=f"not finished in {within_s:.0f} s")
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return Measured(variant, problem=f"crashed with {name}")
    if ended.returncode:
        _, _, last = ended.stderr.strip().rpartition("\n")
        return Measured(variant, problem=last[:LONGEST_PROBLEM] or "failed")
    try:
        found = dict(map(json.loads, ended.stdout.splitlines()))
        # a model that was trained with one size of pictures has one result
        ms = {n: short.ratio(variant.part, n) * each for n, each in found.items()}
        if not ms or min(ms.values()) <= 0:
            raise ValueError(ms)
    except (ValueError, TypeError):
        return Measured(variant, problem=f"unreadable result {ended.stdout[:80]!r}")
    return Measured(variant, tuple(sorted(ms.items())))


def _short(files: ModelFiles, folder: Path) -> Short:
    model, mmproj = files.model_header, files.mmproj_header
    paths = write_short(model, mmproj, folder)
    short_mmproj = read_header(paths[1])

    def ratio(part: Part, size: int) -> float:
        if part == "language":
            return text_ratio(model)
        return vision_ratio(mmproj, short_mmproj, size)

    return Short(folder, paths, ratio)


def _merged(measured: list[Measured], again: list[Measured]) -> list[Measured]:
    seconds = {each.variant: each for each in again}
    return [merge(each, seconds.get(each.variant, each)) for each in measured]


def _near(measured: list[Measured], settings: Settings) -> Iterator[Variant]:
    """The fastest variant of the language model with other cells of the KV cache, and,
    with hyper-threading, one thread for each core."""
    ways = [m for m in measured if m.ms and m.variant.part == "language"]
    if not ways:
        return
    best = fastest_language(ways).variant
    if best.kernels and settings.kv == "auto":
        yield replace(best, kv=LLAMA_KV)
    if host.has_hyperthreading() and best.threads > 1 and not settings.threads:
        yield replace(best, threads=best.threads // 2)


def _fastest_first(measured: list[Measured]) -> Iterator[Variant]:
    best = [m.variant for m in sorted(filter(_has_times, measured), key=standard_ms)]
    return _alternating(
        [each for each in best if each.part == "language"],
        [each for each in best if each.part == "vision"],
    )


def _has_times(measured: Measured) -> bool:
    return bool(measured.ms)


def _alternating(*orders: Iterable[Variant]) -> Iterator[Variant]:
    return filter(None, chain.from_iterable(zip_longest(*orders)))

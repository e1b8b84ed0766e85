"""`edge doctor --tune`: measures which settings are fastest on this machine.

One setting after the other, each on top of the best values so far. A difference within
the noise changes nothing; what the operator has set is not touched.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from edge import host
from edge.engine.protocols import Runtime, VisionTower
from edge.engine.step import Step, TextSpan
from edge.errors import SetupError
from edge.images import TOKEN_PX, Picture
from edge.models.registry import ModelFiles, models_folder
from edge.request import SamplingParams
from edge.serving.build import build_runtime, build_tower
from edge.serving.plan import Plan, make_plan
from edge.serving.tuning import TUNED, Tuning, this_machine
from edge.settings import Settings, in_words

WITHIN_S: Final = 170.0
WORTH: Final = 0.97  # a change has to reduce the time to this fraction

# The standard question: a picture of 800 x 600 pixels, an answer of a few lines.
PICTURE_TOKENS: Final = 475
ANSWER_TOKENS: Final = 64
LAST_PICTURES: Final = 4  # time reserved for the last measurement, in pictures
PROMPT_TOKENS: Final = 512  # a multiple of every chunk size
N_STEPS: Final = 5

Say = Callable[[str], None]
Choice = Mapping[str, Any]  # values of settings that are tried together


@dataclass(frozen=True)
class Speed:
    """Of the language model, in seconds."""

    row_s: float  # prefill of one token
    alone_s: float  # a step of one answer
    together_s: float  # a step of `n_together` answers
    n_together: int

    @property
    def question_s(self) -> float:
        """One question, whose answer shares half of its steps with others."""
        step_s = (self.alone_s + self.together_s / self.n_together) / 2
        return PICTURE_TOKENS * self.row_s + ANSWER_TOKENS * step_s


def tune(
    settings: Settings, files: ModelFiles, say: Say, within_s: float = WITHIN_S
) -> Tuning:
    """Measures with these files and tells each result to `say`; starts nothing that
    would end after `within_s`. Raises SetupError when the files cannot be served."""
    ends = time.monotonic() + within_s

    def plan_with(tried: Settings) -> Plan:
        return make_plan(tried, files, use_tuning=False)

    plan_with(settings)
    models_folder(settings).mkdir(parents=True, exist_ok=True)
    pictures: dict[Settings, float] = {}
    speeds: dict[Settings, Speed] = {}

    def tower_s(tried: Settings) -> float:
        with TemporaryDirectory(dir=models_folder(settings)) as aside:
            # What is compiled only for a trial is deleted: it may take gigabytes.
            folder = settings.data_dir if tried == settings else Path(aside)
            at = plan_with(replace(tried, data_dir=folder))
            [(_, pictures[tried])] = tower_speed(at, PICTURE_TOKENS)
        return pictures[tried]

    def question_s(tried: Settings) -> float:
        # Planned with a whole context: what does not fit is not measured, and a small
        # context could mean another runtime. OpenVINO stays `auto`: it may fall back.
        decided = plan_with(tried).child_settings
        small = replace(decided, context_tokens=2 * PROMPT_TOKENS, kept=0)
        with closing(build_runtime(plan_with(small))) as runtime:
            speeds[tried] = speed_of(runtime, tried.chunk_tokens)
        return speeds[tried].question_s

    say("Reading a picture of 800 x 600 pixels:")
    best = fastest(settings, [{"vision": "f32"}], tower_s, say, ends)
    say(f"Computing the question, and {ANSWER_TOKENS} tokens of an answer:")
    ends -= LAST_PICTURES * pictures[best]
    best = fastest(best, language_choices(), question_s, say, ends)
    speed = speeds[best]
    best = replace(best, threads=best.threads or host.usable_cores())
    chosen = plan_with(best)
    most = chosen.max_image_tokens
    return Tuning(
        values={name: getattr(best, name) for name in TUNED},
        embed_s=tower_speed(chosen, most // 4, most),
        row_s=speed.row_s,
        token_s=speed.alone_s,
        date=date.today().isoformat(),
        made_for=this_machine(files),
    )


def language_choices() -> tuple[Choice, ...]:
    """What is tried apart from the defaults. With hyper-threading, half of the logical
    cores are the physical ones."""
    half = host.usable_cores() // 2
    return (
        {"runtime": "llama"},
        {"runtime": "llama", "repack": True},  # only llama.cpp repacks
        {"chunk_tokens": 128},
        {"chunk_tokens": 512},
        {"kv": "q8_0"},
        *([{"threads": half}] if half else []),
    )


def fastest(
    settings: Settings,
    choices: Iterable[Choice],
    measure: Callable[[Settings], float],
    say: Say,
    ends: float,
) -> Settings:
    """The settings for which `measure` returns the fewest seconds.

    Raises SetupError when `settings` themselves fail; a choice that fails is skipped.
    """
    changes = [change for change in choices if not change.keys() & settings.given]
    best, least, longest = settings, math.inf, 0.0
    for change in ({}, *changes):
        label = ", ".join(f"{k} {in_words(v)}" for k, v in change.items()) or "as it is"
        begun = time.monotonic()
        if begun + longest > ends:
            say(f"  {label:18}  not measured: no time left")
            continue
        tried = replace(best, **change)
        try:
            seconds = measure(tried)
        except SetupError as error:
            if not change:
                raise
            say(f"  {label:18}  failed: {error.message}")
            continue
        longest = max(longest, time.monotonic() - begun)
        is_better = seconds < least * WORTH
        say(
            f"  {label:18} {seconds:7.2f} s{'  better' if change and is_better else ''}"
        )
        if is_better:
            best, least = tried, seconds
    return best


def tower_speed(plan: Plan, *sizes: int) -> tuple[tuple[int, float], ...]:
    """Tokens and seconds of pictures of about these `sizes` in tokens."""
    with closing(build_tower(plan)) as tower:
        embed_s(tower, 1)  # warms up
        return tuple(embed_s(tower, n) for n in sizes)


def embed_s(tower: VisionTower, n_tokens: int) -> tuple[int, float]:
    """Tokens and seconds of a picture of about `n_tokens`, three by four."""
    columns = max(1, round(math.sqrt(n_tokens * 4 / 3)))
    width, height = TOKEN_PX * columns, TOKEN_PX * max(1, n_tokens // columns)
    picture = Picture(width, height, bytes(width * height * 3))
    begun = time.monotonic()
    n = len(tower.embed(picture))
    return n, time.monotonic() - begun


def speed_of(runtime: Runtime, chunk: int) -> Speed:
    """Of a runtime with 2 * PROMPT_TOKENS KV cells and empty slots."""
    slots = range(runtime.n_slots)
    _prompt_s(runtime, chunk)  # what only the first one pays for
    runtime.release(0)
    row_s = _prompt_s(runtime, chunk) / PROMPT_TOKENS
    for slot in slots[1:]:
        runtime.open(slot, SamplingParams())
        runtime.share(0, slot, PROMPT_TOKENS)
    together_s = _step_s(runtime, slots, PROMPT_TOKENS)
    alone_s = _step_s(runtime, slots[:1], PROMPT_TOKENS + N_STEPS)
    return Speed(row_s, alone_s, together_s, len(slots))


_TOKEN = 10  # which one does not matter


def _prompt_s(runtime: Runtime, chunk: int) -> float:
    """Seconds of a prompt in slot 0, computed in chunks of `chunk` tokens."""
    runtime.open(0, SamplingParams())
    begun = time.monotonic()
    for start in range(0, PROMPT_TOKENS, chunk):
        n = min(chunk, PROMPT_TOKENS - start)
        runtime.run(Step((TextSpan(0, start, (_TOKEN,) * n),)))
    return time.monotonic() - begun


def _step_s(runtime: Runtime, slots: range, start: int) -> float:
    """Seconds of a step of these slots, whose next position is `start`."""
    seconds = []
    for at in range(start, start + N_STEPS):
        begun = time.monotonic()
        spans = tuple(TextSpan(slot, at, (_TOKEN,), wanted=(0,)) for slot in slots)
        runtime.run(Step(spans))
        seconds.append(time.monotonic() - begun)
    return median(seconds)

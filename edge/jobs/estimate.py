"""Job durations, learned from finished jobs, to estimate when waiting jobs start.

Pure: no Redis and no clock.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

from edge.request import Answer

WEIGHT = 0.15  # of the newest job in each mean: the last dozen count
# A job that runs longer than its estimate is expected to need this part of it again.
AT_LEAST_LEFT = 0.15


@dataclass(frozen=True)
class Size:
    """What is known of a job before it runs. Prompt tokens include image tokens, and
    `encode_tokens` are those weighed by the cost to encode them (see
    `edge.qwen3vl.encode_cost`). A job that only scores or embeds has 0 `max_tokens`."""

    prompt_tokens: int
    encode_tokens: float
    max_tokens: int


USUAL = Size(prompt_tokens=300, encode_tokens=329.0, max_tokens=512)  # one picture


@dataclass(frozen=True)
class Running:
    """A job that has run for `elapsed_s`; its size is None until it is known."""

    size: Size | None
    elapsed_s: float


@dataclass(frozen=True)
class Pace:
    """Running means over finished jobs: seconds for each token of a kind (`image_s`:
    each of `Size.encode_tokens`), seconds that depend on no token, tokens of an answer,
    seconds of a whole job. `compare_factor` is how many times as long as one prompt
    with the same tokens the `n_compared` jobs took that scored or embedded."""

    n_jobs: int = 0
    image_s: float = 0.01
    prompt_s: float = 0.01
    answer_s: float = 0.1
    other_s: float = 0.0
    answer_tokens: float = 64.0
    job_s: float = 5.0
    n_compared: int = 0
    compare_factor: float = 1.0

    @classmethod
    def read(cls, stored: str | bytes | None) -> Pace:
        """What `to_json` wrote; the defaults above for an empty text."""
        known = json.loads(stored) if stored else {}
        # a newer version may have written more
        return cls(**{f.name: known[f.name] for f in fields(cls) if f.name in known})

    @classmethod
    def guess(cls, size: Size, answer: Answer) -> Pace:
        """The pace before any job, by the speeds of one small question. The first job
        replaces it."""
        small = cls().updated(size, answer, 0.0)
        guess = replace(small, n_jobs=0, answer_tokens=cls.answer_tokens)
        return replace(guess, job_s=guess.seconds(USUAL))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def seconds(self, size: Size | None) -> float:
        """How long a job of this size runs; the mean for an unknown size."""
        if size is None:
            return self.job_s
        seconds = self._seconds(size)
        return seconds if size.max_tokens else self.compare_factor * seconds

    def _seconds(self, size: Size) -> float:
        """Of one prompt with these tokens, and its answer."""
        return (
            self.other_s
            + size.encode_tokens * self.image_s
            + size.prompt_tokens * self.prompt_s
            + min(size.max_tokens, self.answer_tokens) * self.answer_s
        )

    def updated(self, size: Size, answer: Answer, seconds: float) -> Pace:
        """The pace after one more job, which ran for `seconds`."""
        weight = _weight(self.n_jobs + self.n_compared)
        pace = replace(self, job_s=self.job_s + weight * (seconds - self.job_s))
        if size.max_tokens:
            return pace._after_answer(size, answer, seconds)
        return pace._after_comparing(size, seconds)

    def _after_comparing(self, size: Size, seconds: float) -> Pace:
        factor = seconds / max(self._seconds(size), 1e-3)
        weight = _weight(self.n_compared)
        return replace(
            self,
            n_compared=self.n_compared + 1,
            compare_factor=self.compare_factor
            + weight * (factor - self.compare_factor),
        )

    def _after_answer(self, size: Size, answer: Answer, seconds: float) -> Pace:
        weight = _weight(self.n_jobs)

        def mean(before: float, new: float) -> float:
            return before + weight * (new - before)

        times, usage = answer.timings, answer.usage
        embed_s, prefill_s = times.embed_ms / 1000, times.prefill_ms / 1000
        decode_s = times.tpot_ms / 1000 * usage.completion_tokens
        other_s = max(0.0, seconds - embed_s - prefill_s - decode_s)
        answer_tokens = mean(self.answer_tokens, usage.completion_tokens)
        if answer.finish_reason == "length":  # how long it would have been is not known
            answer_tokens = max(self.answer_tokens, usage.completion_tokens)
        pace = replace(
            self,
            n_jobs=self.n_jobs + 1,
            prompt_s=mean(self.prompt_s, prefill_s / max(usage.prompt_tokens, 1)),
            other_s=mean(self.other_s, other_s),
            answer_tokens=answer_tokens,
        )
        if n := size.encode_tokens:
            pace = replace(pace, image_s=mean(self.image_s, embed_s / n))
        if usage.completion_tokens > 1:
            pace = replace(pace, answer_s=mean(self.answer_s, times.tpot_ms / 1000))
        return pace


def _weight(n_before: int) -> float:
    """Of the newest job in a mean, after this many others."""
    return max(1 / (n_before + 1), WEIGHT)


def start_times(
    running: Iterable[Running],
    waiting: Iterable[Size | None],
    n_slots: int,
    pace: Pace,
) -> list[float]:
    """In how many seconds each waiting job starts: each takes the slot that is free
    first. [] without slots."""
    if not n_slots:
        return []
    left = [_left(pace.seconds(job.size), job.elapsed_s) for job in running]
    free = sorted(left)[-n_slots:] + [0.0] * max(0, n_slots - len(left))
    heapq.heapify(free)
    starts_s = []
    for size in waiting:
        start_s = heapq.heappop(free)
        starts_s.append(start_s)
        heapq.heappush(free, start_s + pace.seconds(size))
    return starts_s


def _left(seconds: float, elapsed_s: float) -> float:
    return max(seconds - elapsed_s, AT_LEAST_LEFT * seconds)

"""From symptom to cause to remedy: what a service suffers from. Pure.

Field report D ends with such a table, for people; here each row is a rule over figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

ENOUGH: Final = 5  # answers, or questions: fewer are not judged
FAILED: Final = 0.01  # share of the questions
REFUSED: Final = 0.05
# Shares of the seconds of an answer. Stages need not add up to it: each is a median.
WAITING, DECODING, ENCODING, PROMPT, WRITING = 0.5, 0.2, 0.45, 0.45, 0.7
LOADING_S: Final = 2.0  # no model loads sooner
STUCK_S: Final = 120.0
REFUSALS: Final = ("queue_full", "client_limit", "rate_limit_exceeded")
DEATHS: Final = ("worker_lost", "request_quarantined", "engine_error")


@dataclass(frozen=True)
class Figures:
    """What a running service tells of itself."""

    # Of the answers of the last hour: seconds of each stage (queue, encode, prefill,
    # decode, e2e), the median. Empty without an answer, or without the right to see.
    stage_s: Mapping[str, float] = field(default_factory=dict)
    n_answers: int = 0
    decoding_s: float = 0.0  # of the pictures of a question, the mean
    # Questions by error code, "" of answers, and how long they were counted: since the
    # web process started. So were the seconds of `decoding_s`.
    ended: Mapping[str, int] = field(default_factory=dict)
    counted_s: float = 0.0
    n_workers: int = 1
    n_asleep: int = 0  # models that a question loads
    n_running: int = 0
    oldest_waiting_s: float = 0.0
    broker_is_up: bool = True
    cache_is_up: bool = True
    longest_queue_s: float = 0.0  # the 95th percentile of the last hour
    unloads: bool = False  # the service's EDGE_IDLE_UNLOAD_S is set

    def share_of_answer(self, stage: str) -> float:
        """The part of an answer's seconds that `stage` takes; 0 of too few."""
        e2e_s = self.stage_s.get("e2e", 0.0)
        if self.n_answers < ENOUGH or not e2e_s:
            return 0.0
        return self.stage_s.get(stage, 0.0) / e2e_s

    def share_ended(self, codes: Iterable[str]) -> float:
        """The part of all questions that ended with one of `codes`; 0 of too few."""
        n = sum(self.ended.values())
        if n < ENOUGH:
            return 0.0
        return sum(self.ended.get(code, 0) for code in codes) / n


@dataclass(frozen=True)
class Row:
    """One row of the table, and whether it applies."""

    symptom: str
    cause: str
    remedy: str
    applies: Callable[[Figures], bool]
    is_counted: bool = False  # since the web process started

    def message(self) -> str:
        return f"{self.symptom} {self.cause} {self.remedy}"


TABLE: Final = (
    Row(
        "Every question is refused with 503.",
        "The broker does not answer.",
        "Look at logs/broker.log, and whether its disk is full.",
        lambda f: not f.broker_is_up,
    ),
    Row(
        "Every question is refused with 503.",
        "No worker runs: one still loads the model, or it died.",
        "Read logs/worker*.log. Signal 9 means that memory ran out: take a smaller "
        "model, or lower EDGE_CONTEXT_TOKENS.",
        lambda f: f.broker_is_up and f.n_workers + f.n_asleep == 0,
    ),
    Row(
        "Questions failed with 500 or 503 in the middle of an answer.",
        "A worker died, most often for want of memory, or could not compute.",
        "Read logs/worker*.log, lower EDGE_CONTEXT_TOKENS or EDGE_SLOTS, and end other "
        "programs.",
        lambda f: f.share_ended(DEATHS) > FAILED,
        is_counted=True,
    ),
    Row(
        "Questions ended with 504.",
        "They waited longer than EDGE_DEADLINE_S.",
        "Lower EDGE_BACKLOG, so that the server refuses sooner, or add a worker.",
        lambda f: f.share_ended(["deadline_exceeded"]) > FAILED,
        is_counted=True,
    ),
    Row(
        "Many questions are refused with 429.",
        "More clients ask than the queue or their limits have room for.",
        "Measure with `edge bench` how many users fit, add a worker on another "
        "machine, or raise EDGE_BACKLOG if people may wait longer.",
        lambda f: f.share_ended(REFUSALS) > REFUSED,
        is_counted=True,
    ),
    Row(
        "Questions wait, and none is computed.",
        "The workers claim no jobs.",
        "Read logs/worker*.log, and restart the service.",
        lambda f: f.oldest_waiting_s > STUCK_S and f.n_running == 0,
    ),
    Row(
        "Some answers start late, though most start at once.",
        "The model had left memory, because nobody asked.",
        "Set EDGE_IDLE_UNLOAD_S=0 to keep it there.",
        lambda f: (
            f.unloads
            and f.longest_queue_s > LOADING_S
            and f.stage_s.get("queue", 0.0) < LOADING_S
        ),
    ),
    Row(
        "More users bring no more answers: most of an answer's time is waiting.",
        "All slots are busy, and the cores with them.",
        "Add a worker on another machine, or take a smaller model; more slots do not "
        "help.",
        lambda f: f.share_of_answer("queue") > WAITING,
    ),
    Row(
        "Answers are slow before they reach the model.",
        "Pictures wait for a decoder: they are large, or many come from one address, "
        "which has one decoder at a time.",
        "Let clients make pictures smaller before they send them, as the page does. "
        "Name a proxy in front in EDGE_TRUST, or all its clients are one address.",
        lambda f: (
            f.n_answers >= ENOUGH
            and f.decoding_s > DECODING * f.stage_s.get("e2e", float("inf"))
        ),
        is_counted=True,
    ),
    Row(
        "The first word is late, and encoding the picture takes most of an answer.",
        "Pictures are new and have many image tokens.",
        "Lower EDGE_IMAGE_TOKENS, or ask with `detail: low`; further questions about "
        "the same picture do not encode it again.",
        lambda f: f.share_of_answer("encode") > ENCODING,
    ),
    Row(
        "The first word is late, and reading the prompt takes most of an answer.",
        "Conversations or documents are long.",
        "Put what is always the same first, so that it is read once, and shorten the "
        "rest.",
        lambda f: f.share_of_answer("prefill") > PROMPT,
    ),
    Row(
        "The first word comes soon, but the end late.",
        "Answers are long.",
        "Lower `max_tokens` or EDGE_ANSWER_TOKENS, or take a smaller model.",
        lambda f: f.share_of_answer("decode") > WRITING,
    ),
    Row(
        "Repeated questions are as slow as new ones.",
        "The cache server does not answer.",
        "Restart it; nothing in it needs to be saved.",
        lambda f: not f.cache_is_up,
    ),
)


def applying(figures: Figures) -> list[Row]:
    """The rows of the table that apply, the gravest first."""
    return [row for row in TABLE if row.applies(figures)]

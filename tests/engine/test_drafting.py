"""Drafting: it pays for the whole step or is off, and answers are the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import closing

import pytest

from edge.engine.drafting import Chance, choose_lengths
from edge.engine.engine import Engine
from edge.engine.guesser import Guesser, as_text, no_rates
from edge.engine.step import Sampled, Step
from edge.events import Token
from edge.images import Picture
from edge.schemas.reading import read
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.engine.asking import ask, events

PICTURE = Picture(64, 64, bytes(64 * 64 * 3))
TEXT = "The quick brown fox jumps over the lazy dog, and then sleeps all day."

# ms of a step by its rows: measured on Zen 5, on a Xeon with AMX, in llama.cpp (Q4_K)
TABLES = {
    "zen 5": {1: 35, 2: 39, 4: 50, 8: 67, 16: 68, 64: 160},
    "xeon": {1: 108, 2: 113, 4: 129, 8: 141, 32: 255, 128: 848},
    "llama.cpp": {1: 42, 2: 64, 4: 98, 8: 190, 32: 740},
    "proportional": {1: 100, 64: 6400},
}


def seconds(table: str) -> Callable[[int], float]:
    ms = TABLES[table]

    def step_s(n_rows: int) -> float:
        below = max(n for n in ms if n <= n_rows)
        above = min((n for n in ms if n >= n_rows), default=below)
        if above == below:
            return ms[below] / 1000
        share = (n_rows - below) / (above - below)
        return (ms[below] + share * (ms[above] - ms[below])) / 1000

    return step_s


@pytest.mark.parametrize(
    ("table", "rate", "expected"),
    [
        ("zen 5", 0.0, 0),
        ("zen 5", 0.1, 0),
        ("zen 5", 0.3, 1),
        ("zen 5", 1.0, 7),
        ("xeon", 0.1, 1),
        ("xeon", 0.9, 7),
        ("llama.cpp", 0.5, 0),
        ("llama.cpp", 0.95, 3),
        ("proportional", 1.0, 0),
    ],
)
def test_the_length_follows_from_rate_and_cost(table, rate, expected) -> None:
    assert choose_lengths([Chance(rate, 7)], 1, 1, seconds(table)) == [expected]


def test_the_rows_of_a_step_go_to_the_likeliest_guesses() -> None:
    chances = [Chance(0.9, 7), Chance(0.05, 7), Chance(0.5, 7), Chance(1.0, 2)]
    lengths = choose_lengths(chances, 4, 4, seconds("zen 5"))
    assert lengths[0] > lengths[2] > lengths[1] == 0
    assert lengths[3] == 2  # no more than it may have


def test_an_unknown_cost_drafts_nothing() -> None:
    assert choose_lengths([Chance(1.0, 7)], 1, 1, lambda n: None) == [0]


def slowdown(
    table: str, tokens: list[int], prompt: list[int], rates: list[float] | None = None
) -> float:
    """Seconds of the answer `tokens` with drafting, over those without."""
    step_s = seconds(table)
    guesser = Guesser(as_text(prompt), [], rates)
    total_s, n = 0.0, 1
    guesser.observe(tokens[:1])
    while n < len(tokens):
        guesses = guesser.guesses[: len(tokens) - n - 1]
        chance = Chance(guesser.rate, len(guesses))
        [length] = choose_lengths([chance], 1, 1, step_s)
        total_s += step_s(1 + length)
        n_right = 0
        while n_right < length and guesses[n_right] == tokens[n + n_right]:
            n_right += 1
        guesser.observe(tokens[n : n + n_right + 1])
        n += n_right + 1
    return total_s / ((len(tokens) - 1) * step_s(1))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("n_different", [2, 5, 12, 40])
def test_babble_is_never_slower_than_three_percent(table, n_different) -> None:
    """Tokens at random: pairs recur, and what followed them says nothing."""
    for n_tokens in (64, 512):
        ratios = []
        for seed in range(20):
            chance = random.Random(seed)
            babble = chance.choices(range(n_different), k=n_tokens + 100)
            ratios.append(slowdown(table, babble[100:], babble[:100]))
        assert sum(ratios) / len(ratios) <= 1.03


@pytest.mark.parametrize(
    ("table", "ratio"), [("zen 5", 0.45), ("xeon", 0.35), ("llama.cpp", 0.9)]
)
def test_a_repeated_text_takes_far_less_time(table, ratio) -> None:
    tokens = [1000 + n for n in range(120)]
    assert slowdown(table, tokens, [*tokens, 5, 6, tokens[0]]) < ratio


def test_what_often_follows_one_word_saves_steps_too() -> None:
    """In prose few runs of three tokens recur, and many pairs; no answer is long
    enough to learn how much that says, so all answers do together."""
    rates, ratios = no_rates(), []
    for seed in range(20):
        chance = random.Random(seed)
        tokens = [0]
        while len(tokens) < 300:
            follows = (7 * tokens[-1] + 1) % 300
            tokens.append(follows if chance.random() < 0.5 else chance.randrange(300))
        ratios.append(slowdown("xeon", tokens[200:], tokens[:200], rates))
    assert sum(ratios[10:]) / 10 < 0.95
    assert rates[1] > rates[0] == 0


# --- in the engine -------------------------------------------------------------------


class Counting(StubRuntime):
    n_steps = 0

    def run(self, step: Step) -> list[Sampled]:
        self.n_steps += 1
        return super().run(step)


def test_a_text_of_the_prompt_is_repeated_in_fewer_steps() -> None:
    runtime = Counting(answer=TEXT, step_s=0.002)
    with closing(Engine(runtime, StubTower())) as one:
        seen = events(ask(one, TEXT))
    answer = seen[-1].answer
    assert "".join(e.text for e in seen if isinstance(e, Token)) == answer.text == TEXT
    times, n_tokens = answer.timings, answer.usage.completion_tokens
    assert n_tokens == len(TEXT) + 1
    assert 20 < times.accepted_tokens <= times.drafted_tokens
    assert times.saved_steps == times.accepted_tokens == n_tokens - runtime.n_steps


def test_an_answer_is_repeated_for_the_same_picture_and_scope_only() -> None:
    runtime = Counting(answer=TEXT, step_s=0.002)
    other = Picture(64, 64, bytes([9]) * (64 * 64 * 3))
    with closing(Engine(runtime, StubTower())) as one:
        accepted = [
            events(ask(one, "what?", picture))[-1].answer.timings.accepted_tokens
            for picture in (PICTURE, PICTURE, other)
        ]
    assert accepted[1] > 20
    assert accepted[0] < 10 and accepted[2] < 10


@pytest.mark.parametrize("limit", [{"max_tokens": 40}, {"stop": ("lazy",)}])
def test_an_answer_may_end_among_right_guesses(limit: dict[str, object]) -> None:
    """The cache holds no token behind the end, which the next question shares."""
    runtime = StubRuntime(answer=TEXT, step_s=0.002, n_idle=4)
    with closing(Engine(runtime, StubTower())) as one:
        answers = [events(ask(one, TEXT, **limit))[-1].answer for _ in range(2)]
        for slot, content in one._scheduler._slots.idle.items():
            assert runtime.prompts[slot][1:] == content[1:]
    assert answers[0].text == answers[1].text
    assert answers[0].usage.completion_tokens == answers[1].usage.completion_tokens
    assert answers[0].timings.accepted_tokens > 5


def test_tokens_without_an_alternative_take_no_steps() -> None:
    names = ["a long name of a field", "and another one"]
    schema = {
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in names},
        "required": names,
        "additionalProperties": False,
    }
    runtime = Counting()
    with closing(Engine(runtime, StubTower())) as one:
        seen = events(ask(one, grammar=read(schema)))
    answer = seen[-1].answer
    assert [*json.loads(answer.text)] == names
    n_tokens = answer.usage.completion_tokens
    assert n_tokens > 50 > 8 * runtime.n_steps
    assert answer.timings.saved_steps == n_tokens - runtime.n_steps
    assert answer.timings.drafted_tokens == 0
    # one event for the text of a step; that of the last one may be the end alone
    assert sum(isinstance(e, Token) for e in seen) in (
        runtime.n_steps,
        runtime.n_steps - 1,
    )


def test_max_tokens_cuts_tokens_without_an_alternative() -> None:
    schema = read({"const": "x" * 100})
    with closing(Engine(StubRuntime(), StubTower())) as one:
        for n in (1, 5, 16, 17, 40):
            answer = events(ask(one, grammar=schema, max_tokens=n))[-1].answer
            assert answer.usage.completion_tokens == n
            assert answer.text == ('"' + "x" * 100)[:n]

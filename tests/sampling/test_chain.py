"""What a chain must do, beside what llama.cpp's does."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge.engine.step import Chosen
from edge.errors import EngineError, InvalidRequest
from edge.request import SamplingParams
from edge.sampling.chain import Chain
from edge.sampling.filters import draw, largest, min_p, top_p
from edge.sampling.sampler import Sampler

LOGITS = np.array([0.5, 3.0, -1.0, 2.0, 3.0], np.float32)


def choices(n: int, **params: object) -> list[int]:
    chain = Chain(SamplingParams(**params))  # type: ignore[arg-type]
    return [chain.choose(LOGITS) for _ in range(n)]


def test_greedy_takes_the_first_of_the_best() -> None:
    assert choices(3) == [1, 1, 1]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**63 - 1, -1, -(2**63)])
def test_a_seed_makes_choices_repeatable(seed: int) -> None:
    first, again = (choices(50, temperature=1.0, seed=seed) for _ in range(2))
    assert first == again
    assert len(set(first)) > 1


def test_without_a_seed_choices_differ() -> None:
    assert choices(200, temperature=2.0) != choices(200, temperature=2.0)


def test_choices_are_as_frequent_as_they_are_likely() -> None:
    n = 20_000
    found = Counter(choices(n, temperature=1.0, seed=3))
    likely = np.exp(LOGITS) / np.exp(LOGITS).sum()
    for token, p in enumerate(likely.tolist()):
        assert found[token] / n == pytest.approx(p, abs=4 * (p / n) ** 0.5 + 1e-3)


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e-5])
def test_a_tiny_temperature_chooses_the_best(temperature: float) -> None:
    logits = LOGITS * 300
    logits[4] -= 1
    chain = Chain(SamplingParams(temperature=temperature, seed=1))
    assert [chain.choose(logits) for _ in range(9)] == [1] * 9


def test_only_allowed_tokens_are_chosen() -> None:
    for temperature in (0.0, 2.0):
        chain = Chain(SamplingParams(temperature=temperature, seed=1))
        found = {chain.choose(LOGITS, np.array([0, 2])) for _ in range(99)}
        assert found <= {0, 2}


def test_logits_stay_as_they_are() -> None:
    """They are the runtime's own memory."""
    before = LOGITS.copy()
    sampler = Sampler(SamplingParams(logit_bias=((1, -9.0),), repeat_penalty=2.0), 5)
    for _ in range(3):
        sampler.sample(LOGITS)
    np.testing.assert_array_equal(LOGITS, before)


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_unusable_logits_are_left_out(nothing: float, temperature: float) -> None:
    chain = Chain(SamplingParams(temperature=temperature, logit_bias=((1, 1.0),)))
    logits = np.full(9, nothing, np.float32)
    with pytest.raises(EngineError):
        chain.choose(logits)
    logits[4] = -7.0
    assert chain.choose(logits) == 4
    assert chain.choose(logits, np.array([2, 4])) == 4


def test_a_bias_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="token 5"):
        Sampler(SamplingParams(logit_bias=((5, 1.0),)), 5)


def test_logits_beyond_the_vocabulary_are_never_chosen() -> None:
    assert Sampler(SamplingParams(), 3).sample(LOGITS[[0, 1, 2, 4, 4]]) == Chosen((1,))


def test_filters_of_few_logits() -> None:
    assert largest(LOGITS, 3).tolist() == [1, 4, 3]
    assert largest(LOGITS, 99).tolist() == [1, 4, 3, 0, 2]
    assert top_p(LOGITS, 0.5, is_sorted=False).tolist() == [1, 4]
    assert top_p(LOGITS[[1, 3]], 0.5, is_sorted=True).tolist() == [0]
    assert min_p(LOGITS, 0.3).tolist() == [1, 3, 4]
    assert min_p(LOGITS, 1.0).tolist() == [1, 4]
    assert draw(LOGITS, 0.0) == 0
    assert draw(LOGITS, np.nextafter(1.0, 0.0)) == 4

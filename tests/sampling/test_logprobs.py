"""Log probabilities are those of a softmax of the raw logits."""

from __future__ import annotations

import numpy as np
import pytest

from edge.request import SamplingParams
from edge.sampling.logprobs import logprobs
from edge.sampling.sampler import Sampler

LOGITS = np.random.default_rng(3).normal(0, 4, 5000).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64))
    return weights / weights.sum()


def test_they_are_logarithms_of_the_softmax() -> None:
    expected = np.log(softmax(LOGITS))
    found = logprobs(LOGITS, 7, 20)
    assert found.chosen == pytest.approx(expected[7], abs=1e-5)
    order = np.argsort(-LOGITS)[:20]
    assert [token for token, _ in found.likeliest] == order.tolist()
    values = [value for _, value in found.likeliest]
    assert values == pytest.approx(expected[order].tolist(), abs=1e-5)
    assert logprobs(LOGITS, 7, 0).likeliest == ()


def test_temperature_penalties_and_biases_do_not_change_them() -> None:
    sampling = SamplingParams(
        temperature=2.0,
        seed=1,
        top_k=3,
        repeat_penalty=2.0,
        presence_penalty=2.0,
        logit_bias=((7, 100.0),),
        logprobs=2,
    )
    sampler = Sampler(sampling, len(LOGITS))
    for _ in range(3):
        chosen = sampler.sample(LOGITS)
        assert chosen.tokens == (7,)
        assert chosen.logprobs == (logprobs(LOGITS, 7, 2),)


def test_unusable_logits_count_as_impossible() -> None:
    logits = np.array([1.0, np.nan, -np.inf, np.inf, 1.0], np.float32)
    found = logprobs(logits, 0, 5)
    assert found.chosen == pytest.approx(np.log(0.5), abs=1e-6)
    assert [token for token, _ in found.likeliest] == [0, 4]

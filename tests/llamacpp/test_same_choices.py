"""The chain chooses the tokens that llama.cpp's samplers choose."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.request import SamplingParams
from edge.sampling.chain import PENALTY_WINDOW, Chain
from tests.llamacpp.reference import LlamaChain

pytestmark = pytest.mark.model

SEEDS = st.integers(0, 2**32 - 2)  # the last one is "any seed" to llama.cpp
PARAMS = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.01, 0.7, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 20, 100, 300, 10**6]),
    top_p=st.sampled_from([1.0, 0.95, 0.5, 0.01, 1e-9]),
    min_p=st.sampled_from([0.0, 0.05, 1.0]),
    repeat_penalty=st.sampled_from([1.0, 1.1, 0.7]),
    frequency_penalty=st.sampled_from([0.0, 0.37, -2.0]),
    presence_penalty=st.sampled_from([0.0, 1.5]),
    logit_bias=st.sampled_from([(), ((3, 4.5), (7, -100.0)), ((0, 100.0),)]),
    seed=SEEDS,
)
SPREADS = st.sampled_from([0.01, 1.0, 8.0, 40.0])  # from almost equal to one sure token
SIZES = st.sampled_from([8, 200, 1024, 1025, 30_000])


def agree(params: SamplingParams, n: int, spread: float, n_tokens: int = 20) -> None:
    rng = np.random.default_rng(params.seed)
    with closing(LlamaChain(params, n)) as theirs:
        ours = Chain(params)
        for _ in range(n_tokens):
            logits = (rng.standard_normal(n) * spread).astype(np.float32)
            allowed = None
            if rng.random() < 0.3:
                allowed = np.flatnonzero(rng.random(n) < 0.2)
            if allowed is not None and not allowed.size:
                allowed = None
            token = ours.choose(logits, allowed)
            assert token == theirs.choose(logits, allowed)
            ours.accept(token)
            theirs.accept(token)


@settings(max_examples=200)
@given(PARAMS, SIZES, SPREADS)
def test_by_any_parameters(params: SamplingParams, n: int, spread: float) -> None:
    agree(params, n, spread)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"repeat_penalty": 1.1},
        {"temperature": 1.0},
        {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "presence_penalty": 1.5},
        {"temperature": 0.7, "top_p": 0.95},
        {"temperature": 1.0, "min_p": 0.05},
    ],
)
def test_over_the_vocabulary_of_qwen(params: dict[str, Any]) -> None:
    for spread in (1.0, 6.0):
        agree(SamplingParams(seed=5, **params), 151_936, spread, n_tokens=5)


def test_penalties_forget_what_is_older_than_their_window() -> None:
    params = SamplingParams(frequency_penalty=0.5, repeat_penalty=1.2, seed=1)
    agree(params, 12, 3.0, n_tokens=2 * PENALTY_WINDOW + 50)

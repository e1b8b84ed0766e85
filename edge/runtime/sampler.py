"""One slot's sampler: a chain of llama.cpp's own samplers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from llama_cpp import llama_cpp as lib

from edge.request import SamplingParams

PENALTY_WINDOW = 256  # tokens of the answer that the penalties look back on


class Sampler:
    """Chooses a token from logits, and remembers it for the penalties."""

    def __init__(self, params: SamplingParams, n_vocab: int) -> None:
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in _links(params, n_vocab):
            lib.llama_sampler_chain_add(chain, link)
        self._chain = chain

    def sample(self, context: Any, row: int) -> int:
        """The token after row number `row` of the batch just computed."""
        return int(lib.llama_sampler_sample(self._chain, context, row))

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)  # frees its links too


def _links(params: SamplingParams, n_vocab: int) -> Iterator[Any]:
    """The links in llama.cpp's usual order: penalties, filters, temperature, draw."""
    if params.presence_penalty or params.frequency_penalty:
        yield lib.llama_sampler_init_penalties(
            n_vocab,
            PENALTY_WINDOW,
            1.0,
            params.frequency_penalty,
            params.presence_penalty,
        )
    if params.is_greedy:
        yield lib.llama_sampler_init_greedy()
        return
    if params.top_k > 0:
        yield lib.llama_sampler_init_top_k(params.top_k)
    if params.top_p < 1.0:
        yield lib.llama_sampler_init_top_p(params.top_p, 1)
    if params.min_p > 0.0:
        yield lib.llama_sampler_init_min_p(params.min_p, 1)
    yield lib.llama_sampler_init_temp(params.temperature)
    seed = secrets.randbits(32) if params.seed is None else params.seed & 0xFFFFFFFF
    yield lib.llama_sampler_init_dist(seed)

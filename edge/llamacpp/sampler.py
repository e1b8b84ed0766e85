"""The sampler of one slot: a chain of llama.cpp's samplers, over the tokens that a
constraint allows."""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from edge.engine.protocols import Constraint
from edge.engine.step import MOST_TOKENS
from edge.errors import EngineError, InvalidRequest
from edge.request import SamplingParams

Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]

PENALTY_WINDOW = 256  # tokens of the answer that the penalties look back on
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
assert _CANDIDATE.itemsize == ctypes.sizeof(lib.llama_token_data)


class Sampler:
    """Chooses tokens from logits, and remembers them for the penalties.

    Raises InvalidRequest when a bias is for a token that the model lacks.
    """

    def __init__(
        self,
        params: SamplingParams,
        n_vocab: int,
        constraint: Constraint | None = None,
    ) -> None:
        check_bias(params, n_vocab)
        self._n_vocab = n_vocab
        self._is_greedy = params.is_greedy
        self._constraint = constraint
        self._all = np.arange(n_vocab)
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in _links(params, n_vocab):
            lib.llama_sampler_chain_add(chain, link)
        self._chain = chain

    def sample(self, logits: Logits) -> tuple[int, ...]:
        """The next token, by logits f32 [vocabulary], and the tokens behind it that
        have no alternative, for which no logits are needed: at most MOST_TOKENS.

        Raises EngineError when no token can be chosen.
        """
        tokens = [self._accept(self._choose(logits[: self._n_vocab]))]
        while self._constraint and len(tokens) < MOST_TOKENS:
            if not (forced := self._constraint.forced()):
                break
            tokens.append(self._accept(forced[0]))
        return tuple(tokens)

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)  # frees its links too

    def _accept(self, token: int) -> int:
        if self._constraint:
            self._constraint.accept(token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _choose(self, logits: Logits) -> int:
        constraint = self._constraint
        if constraint is None:
            return self._draw(self._all, logits)
        if forced := constraint.forced():
            return forced[0]
        if self._is_greedy:  # if the best of all tokens is allowed, no mask is needed
            best = self._draw(self._all, logits)
            if constraint.allows(best):
                return best
        allowed = constraint.allowed()
        return self._draw(allowed, logits[allowed])

    def _draw(self, tokens: Ids, logits: Logits) -> int:
        """One of `tokens`, chosen by the chain; `logits` has one entry for each."""
        if not np.isfinite(logits.max()):  # the chain cannot sort NaN
            usable = np.isfinite(logits)
            tokens, logits = tokens[usable], logits[usable]
            if not tokens.size:
                raise EngineError("The model gave no usable logits. Try again.")
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = logits
        array = _array(candidates)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def _array(candidates: np.ndarray[Any, Any]) -> lib.llama_token_data_array:
    """The candidates in llama.cpp's form; samplers change them in place."""
    kind = ctypes.POINTER(lib.llama_token_data)
    data = candidates.ctypes.data_as(kind)
    array = lib.llama_token_data_array(
        data=data, size=len(candidates), selected=-1, sorted=False
    )
    array.keep_alive = candidates
    return array


def check_bias(params: SamplingParams, n_vocab: int) -> None:
    """Raises InvalidRequest when a bias is for a token that the model lacks."""
    for token, _ in params.logit_bias:
        if token >= n_vocab:
            raise InvalidRequest(
                f"logit_bias names token {token}, and this model has {n_vocab}.",
                param="logit_bias",
            )


def _links(params: SamplingParams, n_vocab: int) -> Iterator[Any]:
    """Samplers in llama.cpp's usual order: bias, penalties, filters, temperature,
    random choice."""
    if params.logit_bias:
        biases = (lib.llama_logit_bias * len(params.logit_bias))()
        for bias, (token, value) in zip(biases, params.logit_bias, strict=True):
            bias.token, bias.bias = token, value
        yield lib.llama_sampler_init_logit_bias(n_vocab, len(biases), biases)
    penalties = params.frequency_penalty, params.presence_penalty
    if any(penalties) or params.repeat_penalty != 1.0:
        yield lib.llama_sampler_init_penalties(
            n_vocab, PENALTY_WINDOW, params.repeat_penalty, *penalties
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

"""One slot's sampler: a chain of llama.cpp's own samplers, and perhaps a grammar."""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib
from llama_cpp.llama_grammar import json_schema_to_gbnf

from edge.errors import InvalidRequest
from edge.request import SamplingParams
from edge.runtime.model import Model

PENALTY_WINDOW = 256  # tokens of the answer that the penalties look back on
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
assert _CANDIDATE.itemsize == ctypes.sizeof(lib.llama_token_data)


class Sampler:
    """Chooses a token from logits, and remembers it for the penalties.

    Raises InvalidRequest when `params` ask for what this model does not have, or for
    an answer in a form that cannot be checked.
    """

    def __init__(self, params: SamplingParams, model: Model) -> None:
        self._n_vocab = model.n_vocab
        _check_bias(params, model.n_vocab)
        self._grammar = _grammar(params.json_schema, model)
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in _links(params, model.n_vocab):
            lib.llama_sampler_chain_add(chain, link)
        self._chain = chain

    def sample(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token, given how likely each is: f32 [vocabulary]."""
        candidates = np.zeros(self._n_vocab, _CANDIDATE)
        candidates["id"] = np.arange(self._n_vocab)
        candidates["logit"] = logits[: self._n_vocab]
        if self._grammar is None:
            token = _choose(candidates, self._chain)
        else:
            # Asking it about all tokens is slow: most often the first choice fits.
            token = _choose(candidates.copy(), self._chain)
            if not self._fits(token):
                token = _choose(candidates, self._grammar, self._chain)
            lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)  # frees its links too
        if self._grammar is not None:
            lib.llama_sampler_free(self._grammar)

    def _fits(self, token: int) -> bool:
        alone = np.array([(token, 0.0, 0.0)], _CANDIDATE)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(_array(alone)))
        return bool(np.isfinite(alone["logit"][0]))


def _choose(candidates: np.ndarray[Any, Any], *samplers: Any) -> int:
    array = _array(candidates)
    for sampler in samplers:
        lib.llama_sampler_apply(sampler, ctypes.byref(array))
    return int(array.data[array.selected].id)


def _array(candidates: np.ndarray[Any, Any]) -> lib.llama_token_data_array:
    """The candidates as llama.cpp takes them; samplers may change them in place."""
    kind = ctypes.POINTER(lib.llama_token_data)
    data = candidates.ctypes.data_as(kind)
    array = lib.llama_token_data_array(
        data=data, size=len(candidates), selected=-1, sorted=False
    )
    array.keep_alive = candidates
    return array


def _grammar(json_schema: str, model: Model) -> Any | None:
    """A sampler that lets through what may still become JSON of that schema."""
    if not json_schema:
        return None
    try:
        text = json_schema_to_gbnf(json_schema)
    except Exception as error:  # it raises whatever comes to pass
        raise InvalidRequest(
            f"This JSON schema cannot be used: {error or type(error).__name__}. "
            "Use a simpler one.",
            param="response_format",
        ) from None
    grammar = lib.llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
    if not grammar:
        raise InvalidRequest(
            "This JSON schema is too complicated. Use a simpler one.",
            param="response_format",
        )
    return grammar


def _check_bias(params: SamplingParams, n_vocab: int) -> None:
    for token, _ in params.logit_bias:
        if token >= n_vocab:
            raise InvalidRequest(
                f"logit_bias names token {token}, and this model has {n_vocab}.",
                param="logit_bias",
            )


def _links(params: SamplingParams, n_vocab: int) -> Iterator[Any]:
    """The links in llama.cpp's usual order: bias, penalties, filters, temperature,
    draw."""
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

"""llama.cpp's tokens of a text and choices by logits, which ours must equal."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from edge.llamacpp.model import start_backend
from edge.request import SamplingParams
from edge.sampling.chain import PENALTY_WINDOW

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
assert _CANDIDATE.itemsize == ctypes.sizeof(lib.llama_token_data)


class LlamaVocabulary:
    """The vocabulary of a GGUF file, as a Tokenizer."""

    def __init__(self, path: Path) -> None:
        start_backend()
        params = lib.llama_model_default_params()
        params.vocab_only = True
        self._handle = lib.llama_model_load_from_file(str(path).encode(), params)
        assert self._handle
        self.vocab = lib.llama_model_get_vocab(self._handle)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        tokens = (lib.llama_token * room)()
        n = lib.llama_tokenize(
            self.vocab, data, len(data), tokens, room, False, special
        )
        assert n >= 0, "a text has more tokens than bytes"
        return list(tokens[:n])

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        n = lib.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(n, 0)]

    def is_end(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self.vocab, token))

    def close(self) -> None:
        lib.llama_model_free(self._handle)


class LlamaChain:
    """A chain of llama.cpp's samplers."""

    def __init__(self, params: SamplingParams, n_vocab: int) -> None:
        self._chain = lib.llama_sampler_chain_init(
            lib.llama_sampler_chain_default_params()
        )
        for link in _links(params, n_vocab):
            lib.llama_sampler_chain_add(self._chain, link)

    def choose(
        self,
        logits: npt.NDArray[np.float32],
        allowed: npt.NDArray[np.intp] | None = None,
    ) -> int:
        tokens = np.arange(len(logits)) if allowed is None else allowed
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = logits[tokens]
        array = _array(candidates)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def accept(self, token: int) -> None:
        lib.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)  # frees its links too


def _array(candidates: np.ndarray[Any, Any]) -> lib.llama_token_data_array:
    """The candidates in llama.cpp's form; samplers change them in place."""
    kind = ctypes.POINTER(lib.llama_token_data)
    data = candidates.ctypes.data_as(kind)
    array = lib.llama_token_data_array(
        data=data, size=len(candidates), selected=-1, sorted=False
    )
    array.keep_alive = candidates
    return array


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
    assert params.seed is not None
    yield lib.llama_sampler_init_dist(params.seed)

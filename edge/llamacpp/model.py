"""Weights and vocabulary of one GGUF file, and llama.cpp's log in Python's."""

from __future__ import annotations

import ctypes
import functools
import logging
from functools import partial
from pathlib import Path

from llama_cpp import llama_cpp as lib
from llama_cpp import mtmd_cpp as mtmd

from edge.errors import SetupError
from edge.structured.compiler import Compiler

log = logging.getLogger("llama.cpp")

# ggml's log levels; 5 continues the line before, always a detail
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}


def _forward_log(level: int, text: bytes, _user_data: object) -> None:
    if (line := text.decode("utf-8", "replace").rstrip()) and level in _LEVELS:
        log.log(_LEVELS[level], line)


_log_callback = lib.llama_log_callback(_forward_log)  # C keeps a pointer to it


@functools.cache
def start_backend() -> None:
    """Readies llama.cpp in this process, once."""
    lib.llama_log_set(_log_callback, ctypes.c_void_p(0))
    mtmd.mtmd_log_set(_log_callback, ctypes.c_void_p(0))
    lib.llama_backend_init()


class Model:
    """A loaded language model: a Tokenizer, and the handle that contexts need.

    With `repack` llama.cpp copies the weights into its own order; without, they stay
    mapped from the file: shared between processes, and the kernel may evict them. With
    `vocabulary_only` no weights are loaded.

    Raises SetupError when the file is missing or llama.cpp cannot load it.
    """

    def __init__(
        self, path: Path, *, repack: bool = False, vocabulary_only: bool = False
    ) -> None:
        start_backend()
        if not path.is_file():
            raise SetupError(f"There is no model file at {path}.")
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = repack
        params.vocab_only = vocabulary_only
        handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if not handle:
            raise SetupError(
                f"llama.cpp cannot load {path}: damaged, cut short, or not a GGUF file."
            )
        self.handle = handle
        self.vocab = lib.llama_model_get_vocab(handle)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self.n_embd: int = lib.llama_model_n_embd_inp(handle)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 8  # tokens have at least one byte, except a few added ones
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

    def compiler(self) -> Compiler:
        """Makes constraints over this vocabulary; close it before the model."""
        tokens = range(self.n_vocab)
        return Compiler(
            [self.piece(token) for token in tokens],
            [token for token in tokens if self.is_end(token)],
            partial(self.tokenize, special=False),
        )

    def close(self) -> None:
        lib.llama_model_free(self.handle)

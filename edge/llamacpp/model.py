"""The weights of one GGUF file, and llama.cpp's log in Python's."""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path

from llama_cpp import llama_cpp as lib
from llama_cpp import mtmd_cpp as mtmd

from edge.errors import SetupError

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
    # A build with kernels for several processors looks for them beside Python only.
    folder = Path(lib.__file__).with_name("lib")
    lib._lib.ggml_backend_load_all_from_path(str(folder).encode())
    lib.llama_backend_init()


class Model:
    """A loaded language model: the handle that contexts need.

    With `repack` llama.cpp copies the weights into its own order; without, they stay
    mapped from the file: shared between processes, and the kernel may evict them.

    Raises SetupError when the file is missing or llama.cpp cannot load it.
    """

    def __init__(self, path: Path, *, repack: bool = False) -> None:
        start_backend()
        if not path.is_file():
            raise SetupError(f"There is no model file at {path}.")
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = repack
        handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if not handle:
            raise SetupError(
                f"llama.cpp cannot load {path}: damaged, cut short, or not a GGUF file."
            )
        self.path = path
        self.handle = handle
        self.n_embd: int = lib.llama_model_n_embd_inp(handle)

    def close(self) -> None:
        lib.llama_model_free(self.handle)

"""llama.cpp's vision encoder (mtmd) as a VisionTower: slow, but always available."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import mtmd_cpp as mtmd

from edge.errors import EngineError, SetupError
from edge.images import Picture
from edge.llamacpp.model import Model
from edge.qwen3vl import preprocess


class MtmdTower:
    """The vision encoder in the mmproj file that belongs to `model`.

    Owns `model` from now on. Pictures get between `min_tokens` and `max_tokens` tokens.
    Raises SetupError when the two files do not fit together.
    """

    name = "mtmd"
    n_stages = 1

    def __init__(
        self,
        path: Path,
        model: Model,
        *,
        threads: int,
        min_tokens: int,
        max_tokens: int,
    ) -> None:
        if not path.is_file():
            raise SetupError(f"There is no vision file (mmproj) at {path}.")
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = False
        params.n_threads = threads
        params.print_timings = False
        params.warmup = False
        params.image_min_tokens = 1  # of a pair of frames
        params.image_max_tokens = max_tokens
        context = mtmd.mtmd_init_from_file(str(path).encode(), model.handle, params)
        if not context:
            raise SetupError(
                f"llama.cpp cannot load {path} as the vision part of this model. "
                "Use the mmproj file that was published with it."
            )
        if not mtmd.mtmd_decode_use_mrope(context):
            mtmd.mtmd_free(context)
            raise SetupError(f"{path} is not a Qwen-VL vision file.")
        self._context = context
        self._model = model
        self.width = model.n_embd
        self._token_range = min(min_tokens, max_tokens), max_tokens

    def grid(self, width: int, height: int, n_frames: int = 1) -> tuple[int, int]:
        return preprocess.grid(width, height, *self._token_range, n_frames)

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        grid = self.grid(picture.width, picture.height, picture.n_frames)
        fitted = preprocess.fit(picture, *grid)
        with self._image_chunk(fitted) as chunk:
            if mtmd.mtmd_encode_chunk(self._context, chunk) != 0:
                raise EngineError("The vision encoder failed on this picture.")
            n = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            output = mtmd.mtmd_get_output_embd(self._context)
            # a copy: the encoder overwrites its output
            return np.ctypeslib.as_array(output, (n, self.width)).astype(np.float16)

    def rest(self) -> None:
        """mtmd keeps its buffers."""

    def close(self) -> None:
        mtmd.mtmd_free(self._context)
        self._model.close()

    @contextmanager
    def _image_chunk(self, picture: Picture) -> Iterator[Any]:
        """The image chunk of a prompt that is only this picture."""
        chunks = mtmd.mtmd_input_chunks_init()
        bitmaps = [_bitmap(frame) for frame in preprocess.frames(picture)]
        try:
            parts = [mtmd.mtmd_input_part(text=None, bitmap=each) for each in bitmaps]
            pointers = [ctypes.pointer(part) for part in parts]
            array = (ctypes.POINTER(mtmd.mtmd_input_part) * len(parts))(*pointers)
            status = mtmd.mtmd_tokenize_from_parts(
                self._context, chunks, array, len(parts), False
            )
            if status != 0:
                raise EngineError("The vision encoder cannot use a picture like this.")
            yield next(_images(chunks))
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            for bitmap in bitmaps:
                mtmd.mtmd_bitmap_free(bitmap)


def _bitmap(frame: Picture) -> Any:
    pixels = (ctypes.c_uint8 * len(frame.rgb)).from_buffer_copy(frame.rgb)
    bitmap = mtmd.mtmd_bitmap_init(frame.width, frame.height, pixels)
    # two frames after each other make a pair
    mtmd.mtmd_bitmap_set_mergeable(bitmap, True)
    return bitmap


def _images(chunks: Any) -> Iterator[Any]:
    for i in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, i)
        kind = mtmd.mtmd_input_chunk_get_type(chunk)
        if kind == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
            yield chunk

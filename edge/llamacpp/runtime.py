"""llama.cpp as the engine's Runtime: one context, one KV cache that all slots share."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from edge.engine.batch import Batch, PictureBatch, TokenBatch
from edge.engine.protocols import Constraint
from edge.errors import EngineError, SetupError
from edge.llamacpp.model import Model
from edge.llamacpp.sampler import Sampler, check_bias, sample_each
from edge.request import SamplingParams

_KV_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}


class LlamaRuntime:
    """A context of `n_cells` cells over `model`, which it owns from now on, for
    `n_slots` sequences that compute and `n_idle` that rest.

    `max_batch` is the largest number of rows that one batch may have; `kv` is the type
    of the numbers that cells hold.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_slots: int,
        n_cells: int,
        max_batch: int,
        threads: int,
        n_idle: int = 0,
        kv: str = "f16",
    ) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx = n_cells
        params.n_seq_max = n_slots + n_idle
        params.kv_unified = True  # slots share cells; each needs only what it reserved
        params.n_batch = params.n_ubatch = max_batch
        params.n_outputs_max = params.n_seq_max  # it aborts with fewer
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = _KV_TYPES[kv]
        params.no_perf = True
        context = lib.llama_init_from_model(model.handle, params)
        if not context:
            raise SetupError(
                f"There is not enough memory for a context of {n_cells} tokens. "
                "Set a smaller EDGE_CONTEXT_TOKENS."
            )
        self.name = "llama.cpp"
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.n_idle = n_idle
        self.n_threads = threads
        self.tokenize = model.tokenize
        self.piece = model.piece
        self.is_end = model.is_end
        self._model = model
        self._compiler = model.compiler()
        self._context = context
        self._memory = lib.llama_get_memory(context)
        self._samplers: dict[int, Sampler] = {}

    def check(self, sampling: SamplingParams) -> Constraint | None:
        check_bias(sampling, self._model.n_vocab)
        schema = sampling.json_schema
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        self._samplers[slot] = Sampler(sampling, self._model.n_vocab, constraint)

    def share(self, source: int, slot: int, n_positions: int) -> None:
        lib.llama_memory_seq_cp(self._memory, source, slot, 0, n_positions)

    def run(
        self, batch: Batch, n_threads: int | None = None
    ) -> list[int | EngineError]:
        n_threads = n_threads or self.n_threads
        lib.llama_set_n_threads(self._context, n_threads, n_threads)
        if isinstance(batch, PictureBatch):
            self._decode(_picture_batch(batch))
            return []
        self._decode(_token_batch(batch))
        return sample_each(
            (self._samplers[row.slot], self._logits(i))
            for i, row in enumerate(batch.rows)
            if row.sampled
        )

    def release(self, slot: int) -> None:
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        if sampler := self._samplers.pop(slot, None):
            sampler.close()

    def close(self) -> None:
        for slot in list(self._samplers):
            self.release(slot)
        lib.llama_free(self._context)
        self._compiler.close()
        self._model.close()

    def _logits(self, row: int) -> npt.NDArray[np.float32]:
        logits = lib.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(logits, (self._model.n_vocab,))

    def _decode(self, batch: lib.llama_batch) -> None:
        status = lib.llama_decode(self._context, batch)
        if status != 0:
            raise EngineError(f"The model could not compute this step ({status}).")


def _token_batch(batch: TokenBatch) -> lib.llama_batch:
    rows = batch.rows
    return _native(
        token=np.array([row.token for row in rows], dtype=np.int32),
        pos=np.array([row.position for row in rows], dtype=np.int32),
        slots=[row.slot for row in rows],
        logits=np.array([row.sampled for row in rows], dtype=np.int8),
    )


def _picture_batch(batch: PictureBatch) -> lib.llama_batch:
    n = len(batch.embeddings)
    return _native(
        embd=np.ascontiguousarray(batch.embeddings, dtype=np.float32),
        pos=np.ascontiguousarray(batch.positions, dtype=np.int32),
        slots=[batch.slot] * n,
        logits=np.zeros(n, dtype=np.int8),
    )


def _native(*, slots: list[int], **arrays: npt.NDArray[Any]) -> lib.llama_batch:
    """A llama_batch over `arrays`, which it keeps alive: `token` i32 [n] or `embd` f32
    [n, width], `pos` i32 [n] for tokens or [4, n] for embeddings, `logits` i8 [n]."""
    n = len(slots)
    seq_ids = (lib.llama_seq_id * n)(*slots)
    step = ctypes.sizeof(lib.llama_seq_id)
    pointer = ctypes.POINTER(lib.llama_seq_id)
    rows = (pointer * n)(
        *(ctypes.cast(ctypes.addressof(seq_ids) + i * step, pointer) for i in range(n))
    )
    batch = lib.llama_batch(n_tokens=n)
    batch.n_seq_id = (ctypes.c_int32 * n)(*[1] * n)
    batch.seq_id = rows
    types = dict(lib.llama_batch._fields_)
    for name, array in arrays.items():
        setattr(batch, name, array.ctypes.data_as(types[name]))
    batch.keep_alive = (seq_ids, rows, arrays)
    return batch

"""llama.cpp as the engine's Runtime: one context, one KV cache that all slots share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from llama_cpp import llama_cpp as lib

from edge.engine.protocols import Constraint
from edge.engine.step import MOST_GUESSED, MOST_TOKENS, Row, Sampled, Span, Step
from edge.engine.verify import sample_rows
from edge.errors import EngineError, SetupError
from edge.gguf.header import Header
from edge.gguf.score_row import read_score_row
from edge.gguf.tokenizer import read_tokenizer
from edge.gguf.weights import Floats, Weights
from edge.llamacpp.batch import batches, native_batch, reads
from edge.llamacpp.model import Model
from edge.request import SamplingParams
from edge.sampling.samplers import Samplers

NOTHING = np.empty(0, np.float32)
_KV_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}


class LlamaRuntime:
    """A context of `n_cells` cells of the type `kv` over `model`, which it owns from
    now on, for `n_slots` running sequences and `n_idle` idle ones.

    `max_batch` is the largest number of tokens of prompts that one step may have.
    Raises SetupError when there is not enough memory.
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
        header: Header | None = None,
    ) -> None:
        tokenizer = read_tokenizer(model.path)
        params = lib.llama_context_default_params()
        params.n_ctx = n_cells
        params.n_seq_max = n_slots + n_idle
        params.kv_unified = True  # any slot may use any cell
        max_batch += n_slots * MOST_TOKENS
        params.n_batch = params.n_ubatch = max_batch
        self._most_wanted = n_slots * (MOST_GUESSED + 1)
        # it aborts with fewer than there are sequences
        params.n_outputs_max = max(params.n_seq_max, self._most_wanted)
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
        self.tokenize = tokenizer.tokenize
        self.piece, self.label = tokenizer.piece, tokenizer.label
        self.ends, self.n_vocab = tokenizer.ends, tokenizer.n_vocab
        self._model = model
        self._threads = threads
        self._n_vocab = len(tokenizer.pieces)
        self._n_hidden: int = lib.llama_model_n_embd(model.handle)
        self._tokenizer = tokenizer
        self._weights = Weights(model.path, header)  # kept open
        self._samplers = Samplers(tokenizer)
        self.check = self._samplers.check
        self._context = context
        self._memory = lib.llama_get_memory(context)

    @cached_property
    def score_row(self) -> Floats:
        return read_score_row(self._weights, self._tokenizer)

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        self._samplers.open(slot, sampling, constraint)

    def share(self, source: int, slot: int, n_positions: int) -> None:
        lib.llama_memory_seq_cp(self._memory, source, slot, 0, n_positions)

    def rewind(self, slot: int, position: int) -> None:
        lib.llama_memory_seq_rm(self._memory, slot, position, -1)

    def run(self, step: Step) -> list[Sampled]:
        return sample_rows(self.logits(step), self._samplers.sample)

    def logits(self, step: Step) -> Iterator[Row]:
        """Computes `step`. Yields the row of each wanted token; what is computed next
        overwrites it."""
        # llama.cpp would abort the process
        if sum(len(span.wanted) for span in step.spans) > self._most_wanted:
            raise EngineError("Too many tokens are wanted in one step.")
        threads = threads_for(step, self._threads)
        lib.llama_set_n_threads(self._context, threads, threads)
        for spans in batches(step.spans):
            reads_state = any(map(reads, spans))
            lib.llama_set_embeddings(self._context, reads_state)
            status = lib.llama_decode(self._context, native_batch(spans))
            if status != 0:
                raise EngineError(f"The model could not compute this step ({status}).")
            begin = 0
            for span in spans:
                for index in span.wanted:
                    yield self._row(span, index, begin + index, reads_state=reads_state)
                begin += span.n_tokens

    def stop(self, slot: int) -> None:
        self._samplers.release(slot)

    def release(self, slot: int) -> None:
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        self._samplers.release(slot)

    def close(self) -> None:
        lib.llama_free(self._context)
        self._samplers.close()
        self._model.close()

    def _row(self, span: Span, index: int, at: int, *, reads_state: bool) -> Row:
        """Of the token `at` this place of the latest batch."""
        if reads_state:
            state = lib.llama_get_embeddings_ith(self._context, at)
            row = np.ctypeslib.as_array(state, (self._n_hidden,))
            return Row(span, index, NOTHING, row)
        logits = lib.llama_get_logits_ith(self._context, at)
        return Row(
            span, index, np.ctypeslib.as_array(logits, (self._n_vocab,)), NOTHING
        )


def threads_for(step: Step, threads: int) -> int:
    """Half of all threads, rounded up, while the vision encoder computes, which has as
    many as there are cores. With all threads for both they wait for each other: a token
    took 0.5 instead of 0.16 s on two cores.
    """
    return threads - threads // 2 if step.beside_encoder else threads

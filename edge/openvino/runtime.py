"""OpenVINO as the engine's Runtime: prompts in half of llama.cpp's time, and a step of
four answers too.

llama.cpp multiplies few rows one by one; here a step reads the weights once for all of
them. They come out of the same GGUF file and are held as whole numbers of eight bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.engine.batch import Batch, PictureBatch, Row
from edge.engine.protocols import Constraint
from edge.errors import EngineError
from edge.gguf.header import Header
from edge.llamacpp.model import Model
from edge.llamacpp.sampler import Sampler, check_bias, sample_each
from edge.openvino.blocks import Blocks, n_blocks
from edge.openvino.compiled import compile_now
from edge.openvino.language_graph import Language
from edge.openvino.language_weights import TextWeights
from edge.openvino.nodes import Precision
from edge.openvino.quantized_weights import Packed
from edge.qwen3vl.rope import rotary
from edge.request import SamplingParams

KV = {"f16": "f16", "q8_0": "u8"}


@dataclass(frozen=True)
class _Stretch:
    """Rows of a batch, those of a slot together: f32 [n, (1 + levels) * hidden] at
    positions i32 [4, n]."""

    n_rows: dict[int, int]  # of each slot, in order
    embeddings: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int32]
    wanted: dict[int, int]  # the row of each slot that asks


class OpenvinoRuntime:
    """The language model in the file at `path`, for `n_slots` sequences that compute
    and `n_kept` that rest, over `n_cells` cells whose numbers are of the type `kv`.

    `folder` keeps the packed weights. Raises SetupError when the file does not fit or
    cannot be compiled here.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        n_slots: int,
        n_cells: int,
        threads: int,
        n_kept: int = 0,
        kv: str = "f16",
        precision: Precision = "int8",
        header: Header | None = None,
    ) -> None:
        self.name = f"openvino {precision}"
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.n_kept = n_kept
        self.n_threads = threads
        self._weights = weights = TextWeights(path, header)
        packed = Packed(weights, folder) if precision == "int8" else None
        self._graph = compile_now(
            Language(weights, packed).graph,
            path,
            precision=precision,
            threads=threads,
            kv=KV[kv],
            pages=packed.pages if packed else None,
        )
        blocks = n_blocks(n_cells, n_slots + n_kept)
        self._blocks = Blocks(blocks)
        self._caches = self._graph.hold("cache", blocks)
        self._model = Model(path, vocabulary_only=True)
        self._compiler = self._model.compiler()
        self.tokenize = self._model.tokenize
        self.piece = self._model.piece
        self.is_end = self._model.is_end
        self._samplers: dict[int, Sampler] = {}

    def check(self, sampling: SamplingParams) -> Constraint | None:
        check_bias(sampling, self._model.n_vocab)
        schema = sampling.json_schema
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        self._blocks.open(slot)  # first: whatever comes of it, the slot is released
        self._samplers[slot] = Sampler(sampling, self._model.n_vocab, constraint)

    def share(self, source: int, slot: int, n_positions: int) -> None:
        if copy := self._blocks.share(source, slot, n_positions):
            old, new = copy
            for cache in self._caches:
                cache[new] = cache[old]

    def run(
        self, batch: Batch, n_threads: int | None = None
    ) -> list[int | EngineError]:
        if isinstance(batch, PictureBatch):
            rows = {batch.slot: batch.n_rows}
            self._compute(_Stretch(rows, batch.embeddings, batch.positions, {}))
            return []
        stretch = self._stretch(batch.rows)
        logits = self._compute(stretch)
        of_slot = dict(zip(stretch.wanted, logits, strict=False))
        return sample_each(
            (self._samplers[row.slot], of_slot[row.slot])
            for row in batch.rows
            if row.sampled
        )

    def release(self, slot: int) -> None:
        self._blocks.release(slot)
        if sampler := self._samplers.pop(slot, None):
            sampler.close()

    def close(self) -> None:
        for slot in list(self._samplers):
            self.release(slot)
        self._graph.close()
        self._compiler.close()
        self._model.close()

    def _stretch(self, rows: Iterable[Row]) -> _Stretch:
        by_slot: dict[int, list[Row]] = {}
        for row in rows:
            by_slot.setdefault(row.slot, []).append(row)
        ordered = [row for some in by_slot.values() for row in some]
        weights = self._weights
        tokens = weights.rows("token_embd.weight", [row.token for row in ordered])
        at = [row.position for row in ordered]
        return _Stretch(
            {slot: len(some) for slot, some in by_slot.items()},
            # a token has nothing to add later
            np.pad(tokens, ((0, 0), (0, weights.n_levels * weights.hidden))),
            np.array([at, at, at, [0] * len(at)], np.int32),
            {row.slot: i for i, row in enumerate(ordered) if row.sampled},
        )

    def _compute(self, stretch: _Stretch) -> npt.NDArray[np.float32]:
        """Logits of the rows that ask, f32 [n, vocabulary]; if none does, of one."""
        weights, blocks, n_rows = self._weights, self._blocks, stretch.n_rows
        n_before = [blocks.n_tokens(slot) for slot in n_rows]
        begins = _sums(n_rows.values())
        for slot, begin, end in zip(n_rows, begins, begins[1:], strict=False):
            blocks.append(slot, stretch.positions[0, begin:end].tolist())
        held = [blocks.of(slot) for slot in n_rows]
        longest = max(blocks.n_tokens(slot) for slot in n_rows)
        who = (n_before, begins, [*chain(*held)], _sums(map(len, held)), longest)
        wanted = [*stretch.wanted.values()] or [0]
        rows, added = np.split(stretch.embeddings, [weights.hidden], axis=1)
        angles = rotary(
            stretch.positions, weights.head, weights.rope_sections, weights.rope_base
        )
        [logits] = self._graph.run(
            *(np.ascontiguousarray(rows), *angles, np.ascontiguousarray(added)),
            *(np.array(numbers, np.int32) for numbers in (*who, wanted)),
        )
        return logits


def _sums(numbers: Iterable[int]) -> list[int]:
    """Where each stretch of so many begins, and where the last one ends."""
    return list(accumulate(numbers, initial=0))

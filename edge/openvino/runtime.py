"""OpenVINO as the engine's Runtime: prompts, and steps of four answers, take half of
llama.cpp's time.

llama.cpp multiplies a few rows one by one; here a step reads the weights once for all
rows. They come out of the same GGUF file, quantized to int8, or in its four bits,
unless they are wanted as f32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path

import numpy as np

from edge.engine.protocols import Constraint
from edge.engine.step import PictureSpan, Row, Sampled, Span, Step, TextSpan
from edge.engine.verify import sample_rows
from edge.gguf.header import Header
from edge.gguf.score_row import read_score_row
from edge.gguf.tokenizer import read_tokenizer
from edge.gguf.weights import Floats
from edge.openvino.blocks import Blocks, n_blocks
from edge.openvino.by_rows import ByRows
from edge.openvino.compiled import Compiled, compile_now
from edge.openvino.kernels import Kernels
from edge.openvino.language_graph import LanguageGraph
from edge.openvino.language_weights import TextWeights
from edge.openvino.quantized_weights import QuantizedWeights
from edge.qwen3vl.rope import rope_angles
from edge.request import SamplingParams
from edge.sampling.samplers import Samplers

KV = {"f16": "f16", "q8_0": "u8"}


class OpenvinoRuntime:
    """The language model in the file at `path`, for `n_slots` running sequences and
    `n_idle` idle ones, over `n_cells` cells of the type `kv`.

    `folder` keeps the quantized weights. With `many` kernels a second graph computes
    steps of at least `many_rows` tokens; both share the cache, which must be q8_0 if
    their hints differ. Raises SetupError when the file does not fit or cannot be
    compiled here.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        n_slots: int,
        n_cells: int,
        threads: int,
        n_idle: int = 0,
        kv: str = "f16",
        kernels: Kernels,
        many: Kernels | None = None,
        many_rows: int = 1,
        header: Header | None = None,
    ) -> None:
        self.name = f"openvino {kernels.weights}"
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.n_idle = n_idle
        tokenizer = read_tokenizer(path)
        self._weights = weights = TextWeights(path, header)

        def compiled(kernels: Kernels) -> Compiled:
            quantized = None
            if kernels.weights != "f32":
                quantized = QuantizedWeights(weights, folder, kernels.weights)
            return compile_now(
                LanguageGraph(weights, quantized).graph,
                path,
                kernels=kernels,
                threads=threads,
                kv=KV[kv],
                pages=quantized.pages if quantized else None,
            )

        self._graph: Compiled | ByRows = compiled(kernels)
        if many:
            self._graph = ByRows(self._graph, compiled(many), many_rows)
        blocks = n_blocks(n_cells, n_slots + n_idle)
        self._blocks = Blocks(blocks)
        self._caches = self._graph.allocate_state("cache", blocks)
        self.tokenize = tokenizer.tokenize
        self.piece, self.label = tokenizer.piece, tokenizer.label
        self.ends, self.n_vocab = tokenizer.ends, tokenizer.n_vocab
        self._samplers = Samplers(tokenizer)
        self._tokenizer = tokenizer
        self.check = self._samplers.check
        self._copy_weights({1, many_rows if many else 1})

    @cached_property
    def score_row(self) -> Floats:
        return read_score_row(self._weights, self._tokenizer)

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        self._blocks.open(slot)  # first: the slot can be released if the rest fails
        self._samplers.open(slot, sampling, constraint)

    def share(self, source: int, slot: int, n_positions: int) -> None:
        if copy := self._blocks.share(source, slot, n_positions):
            self._copy(*copy)

    def rewind(self, slot: int, position: int) -> None:
        if copy := self._blocks.rewind(slot, position):
            self._copy(*copy)

    def run(self, step: Step) -> list[Sampled]:
        return sample_rows(self.logits(step), self._samplers.sample)

    def logits(self, step: Step) -> Iterator[Row]:
        """Computes `step`. Yields the row of each wanted token; what is computed next
        overwrites it."""
        spans = sorted(step.spans, key=lambda span: span.slot)  # side by side
        begins = _sums(span.n_tokens for span in spans)
        wanted = [
            (span, begin, index)
            for span, begin in zip(spans, begins, strict=False)
            for index in span.wanted
        ]
        indices = [begin + index for _, begin, index in wanted]
        results = self._compute(spans, indices or [0])
        for (span, _, index), *row in zip(wanted, *results, strict=False):
            yield Row(span, index, *row)

    def stop(self, slot: int) -> None:
        self._samplers.release(slot)

    def release(self, slot: int) -> None:
        self._blocks.release(slot)
        self._samplers.release(slot)

    def close(self) -> None:
        self._graph.close()
        self._samplers.close()

    def _copy_weights(self, numbers: Iterable[int]) -> None:
        """Computes a step of each of these numbers of tokens, one for each graph: its
        kernels copy the weights in the first one, which takes seconds."""
        for n_tokens in numbers:
            self._blocks.open(0)
            span = TextSpan(0, 0, (0,) * n_tokens)
            self._compute([span], [0])
            self._blocks.release(0)

    def _compute(self, spans: list[Span], wanted: list[int]) -> list[Floats]:
        """Logits f32 [n, vocabulary] and states f32 [n, hidden] of the tokens at the
        indices `wanted`."""
        weights, blocks = self._weights, self._blocks
        n_tokens: Counter[int] = Counter()
        for span in spans:
            n_tokens[span.slot] += span.n_tokens
        n_before = [blocks.n_tokens(slot) for slot in n_tokens]
        for span in spans:
            blocks.append(span.slot, span.positions[0].tolist())
        held = [blocks.of(slot) for slot in n_tokens]
        longest = max(blocks.n_tokens(slot) for slot in n_tokens)
        numbers = (
            n_before,
            _sums(n_tokens.values()),
            [*chain(*held)],
            _sums(map(len, held)),
            longest,
            wanted,
        )
        positions = np.concatenate([span.positions for span in spans], axis=1)
        cos, sin = rope_angles(
            positions, weights.head, weights.rope_sections, weights.rope_base
        )
        rows, added = self._embeddings(spans)
        return self._graph.run(
            rows,
            cos,
            sin,
            added,
            *(np.array(each, np.int32) for each in numbers),
        )

    def _embeddings(self, spans: list[Span]) -> tuple[Floats, Floats]:
        """Of all tokens f32 [n, hidden], and what deepstack adds to them f32 [n, levels
        * hidden]: to text nothing."""
        weights, hidden = self._weights, self._weights.hidden
        is_text = np.repeat(
            [isinstance(span, TextSpan) for span in spans],
            [span.n_tokens for span in spans],
        )
        rows = np.empty((len(is_text), hidden), np.float32)
        added = np.zeros((len(is_text), weights.n_levels * hidden), np.float32)
        if tokens := [t for s in spans if isinstance(s, TextSpan) for t in s.tokens]:
            rows[is_text] = weights.rows("token_embd.weight", tokens)
        if pictures := [s.embeddings for s in spans if isinstance(s, PictureSpan)]:
            embeddings = np.concatenate(pictures)
            rows[~is_text] = embeddings[:, :hidden]
            added[~is_text] = embeddings[:, hidden:]
        return rows, added

    def _copy(self, block: int, into: int) -> None:
        for cache in self._caches:
            cache[into] = cache[block]


def _sums(numbers: Iterable[int]) -> list[int]:
    """Begins of adjacent runs of these lengths, and the end of the last one."""
    return list(accumulate(numbers, initial=0))

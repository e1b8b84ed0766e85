"""Prompts computed by OpenVINO: about twice as fast as llama.cpp computes them.

The weights come out of the same GGUF file. They are held once more, as whole numbers in
an order of OpenVINO's own, so this is paid for in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.engine.batch import Batch, Cells, PictureBatch
from edge.openvino.compiled import Compiled
from edge.openvino.nodes import Precision
from edge.prefill.graph import Prefill
from edge.prefill.prompt import positions_of, tokens_of
from edge.prefill.rotary import rotary
from edge.prefill.weights import TextWeights

REVISION = 1  # of the graph: another one makes what was compiled of the old one void


class OpenvinoPrefill:
    """The layers of the model file at `path`, a Prefill.

    `folder` keeps compiled graphs. Raises SetupError when the file does not fit or
    cannot be compiled here.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        threads: int,
        longest: int,
        precision: Precision = "int8",
    ) -> None:
        self.name = f"openvino {precision}"
        self.longest = longest
        self._weights = weights = TextWeights(path)
        self._graph = Compiled(
            lambda: Prefill(weights, precision).graph(),
            path,
            folder,
            name=f"prefill-{precision}",
            revision=REVISION,
            precision=precision,
            threads=threads,
        )

    def compute(self, prompt: Sequence[Batch]) -> Cells:
        weights = self._weights
        positions = positions_of(prompt)
        embeddings = np.concatenate([self._embeddings(batch) for batch in prompt])
        angles = rotary(
            positions, weights.head, weights.rope_sections, weights.rope_base
        )
        rows, added = np.split(embeddings, [weights.hidden], axis=1)
        kept = self._graph.run(
            np.ascontiguousarray(rows), *angles, np.ascontiguousarray(added)
        )
        return Cells(tokens_of(prompt), positions, [np.array(each) for each in kept])

    def interrupt(self) -> None:
        self._graph.interrupt()

    def close(self) -> None:
        self._graph.close()

    def _embeddings(self, batch: Batch) -> npt.NDArray[np.float32]:
        """f32 [n, (1 + levels) * hidden]: a token has nothing to add later."""
        if isinstance(batch, PictureBatch):
            return batch.embeddings
        weights = self._weights
        rows = weights.rows("token_embd.weight", [row.token for row in batch.rows])
        return np.pad(rows, ((0, 0), (0, weights.n_levels * weights.hidden)))

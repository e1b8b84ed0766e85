"""The vision encoder computed by OpenVINO: several times faster than llama.cpp's.

The weights come out of the same mmproj file that llama.cpp reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.gguf.header import Header
from edge.images import Picture
from edge.openvino.compiled import compile_once
from edge.openvino.kernels import Kernels
from edge.openvino.pauses import Pauses
from edge.openvino.vision_graph import VisionGraph
from edge.openvino.vision_weights import TowerWeights
from edge.qwen3vl import preprocess
from edge.qwen3vl.patches import Floats, interpolate_pos_embed, rope_angles

REVISION = 4  # of the graph: a new one invalidates compiled files of the old one


class OpenvinoTower:
    """The vision encoder in the mmproj file at `path`, a VisionTower.

    Pictures get between `min_tokens` and `max_tokens` tokens. `folder` holds compiled
    graphs. Raises SetupError when the file does not fit or cannot be compiled here.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        kernels: Kernels,
        threads: int,
        min_tokens: int,
        max_tokens: int,
        header: Header | None = None,
    ) -> None:
        self.name = f"openvino {kernels.weights}"
        self._pauses = pauses = Pauses()
        weights = TowerWeights(path, header)
        self._table = weights["v.position_embd.weight"]
        self._head = weights.hidden // weights.n_heads
        self.n_stages = 1 + weights.n_blocks
        self.width = weights.width
        self._token_range = min(min_tokens, max_tokens), max_tokens
        self._graph = compile_once(
            lambda: VisionGraph(weights, kernels.weights, pauses).graph(),
            path,
            folder,
            name=kernels.weights,
            revision=REVISION,
            kernels=kernels,
            threads=threads,
            pauses=pauses,
        )

    def grid(self, width: int, height: int, n_frames: int = 1) -> tuple[int, int]:
        return preprocess.grid(width, height, *self._token_range, n_frames)

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        rows, columns = self.grid(picture.width, picture.height, picture.n_frames)
        fitted = preprocess.fit(picture, rows, columns)
        with self._pauses.calling(pause):
            [embeddings] = self._graph.run(
                *_mean_and_change(fitted),
                interpolate_pos_embed(self._table, rows, columns),
                *rope_angles(rows, columns, self._head),
            )
        return embeddings.astype(np.float16)

    def rest(self) -> None:
        self._graph.release_workspace()

    def close(self) -> None:
        self._graph.close()


def _mean_and_change(picture: Picture) -> tuple[Floats, Floats]:
    """The patches of a fitted picture from -1 to 1, f32 [n_patches, 3 * 16 * 16]: means
    of its frames, and half of what the first has more than the second. A still does not
    change: one row of zeros."""
    first, *others = map(_scaled_patches, preprocess.frames(picture))
    if not others:
        return first, np.zeros((1, first.shape[1]), np.float32)
    [second] = others
    half = np.float32(0.5)
    return (first + second) * half, (first - second) * half


def _scaled_patches(frame: Picture) -> Floats:
    return preprocess.patches(frame).astype(np.float32) / np.float32(127.5) - 1

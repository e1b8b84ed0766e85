"""The vision tower computed by OpenVINO: the fast one.

The weights come out of the same mmproj file that llama.cpp reads. Building the graph
takes seconds and twice its memory, so it is done once for each file, precision and
machine; what the compiler made of it lies on disk and is mapped from there.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from edge.errors import Cancelled, EngineError, SetupError
from edge.images import Picture
from edge.vision import places, preprocess
from edge.vision.graph import Precision, Tower
from edge.vision.weights import TowerWeights

log = logging.getLogger(__name__)

REVISION = 1  # of the graph: another one makes compiled towers of the old one void
# Activations that share a scale when they are rounded to whole numbers. 256 was as
# right as 32 (cosine 0.9998 of float32) and a quarter faster.
ROUNDED_TOGETHER = 256


class OpenvinoTower:
    """The vision encoder in the mmproj file at `path`, a VisionTower.

    Pictures get between `min_tokens` and `max_tokens` tokens. `folder` keeps compiled
    towers. Raises SetupError when the file does not fit or cannot be compiled here.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        precision: Precision,
        threads: int,
        min_tokens: int,
        max_tokens: int,
    ) -> None:
        self.name = f"openvino {precision}"
        weights = TowerWeights(path)
        self._table = weights["v.position_embd.weight"]
        self._head = weights.hidden // weights.n_heads
        self._cells = min(min_tokens, max_tokens), max_tokens
        core = ov.Core()
        options = _options(core, precision, threads)
        blob = folder / f"{path.stem}-{precision}-{_key(core, path, options)}.blob"
        try:
            self._pages, self._request = _open(core, weights, precision, options, blob)
        except (RuntimeError, OSError) as error:
            raise SetupError(f"OpenVINO cannot serve {path}: {error}.") from error
        self._lock = threading.Lock()
        self._is_interrupted = False

    def grid(self, width: int, height: int) -> tuple[int, int]:
        return preprocess.grid(width, height, *self._cells)

    def embed(self, picture: Picture) -> npt.NDArray[np.float32]:
        rows, columns = self.grid(picture.width, picture.height)
        fitted = preprocess.fit(picture, rows, columns)
        pixels = preprocess.patches(fitted).astype(np.float32) / 127.5 - 1
        inputs = (
            pixels,
            places.learnt(self._table, rows, columns),
            *places.rotary(rows, columns, self._head),
        )
        with self._lock:
            self._is_interrupted = False
            self._request.start_async(inputs)
        try:
            self._request.wait()
        except RuntimeError as error:
            if self._is_interrupted:
                raise Cancelled("Nobody waits for this picture any more.") from None
            raise EngineError("The vision encoder failed on this picture.") from error
        if self._pages:  # the kernels keep an order of their own: these can go
            self._pages.madvise(mmap.MADV_DONTNEED)
        return np.array(self._request.get_output_tensor().data)

    def interrupt(self) -> None:
        with self._lock:
            self._is_interrupted = True
            self._request.cancel()

    def close(self) -> None:
        del self._request


def _options(core: ov.Core, precision: Precision, threads: int) -> dict[str, object]:
    """How the CPU plugin is to compute: all threads on one picture, free to move to
    where the language model is not."""
    is_fast = precision == "int8"
    can_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if is_fast and can_bf16 else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": ROUNDED_TOGETHER if is_fast else 0,
    }


def _key(core: ov.Core, path: Path, options: dict[str, object]) -> str:
    """Changes when anything changes that a compiled tower depends on."""
    file = path.stat()
    parts = (
        REVISION,
        path.resolve(),
        file.st_size,
        file.st_mtime_ns,
        ov.get_version(),
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        options,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _open(
    core: ov.Core,
    weights: TowerWeights,
    precision: Precision,
    options: dict[str, object],
    blob: Path,
) -> tuple[mmap.mmap | None, Any]:
    """The compiled tower, ready to compute, and the pages of the file that it lies in,
    where there could be one."""
    try:
        return _load(core, blob, options)
    except (RuntimeError, OSError, ValueError):  # not there, or damaged
        log.info("compiling the vision tower for this machine, only this once")
    graph = Tower(weights, precision).graph()
    compiled = core.compile_model(graph, "CPU", options)
    try:
        _write(compiled, blob)
    except OSError as error:
        log.warning("%s The tower will be compiled at each start.", error)
        return None, compiled.create_infer_request()
    for old in blob.parent.glob(f"{weights.path.stem}-{precision}-*.blob"):
        if old != blob:
            old.unlink(missing_ok=True)
    return _load(core, blob, options)


def _load(
    core: ov.Core, blob: Path, options: dict[str, object]
) -> tuple[mmap.mmap, Any]:
    with blob.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    tensor = ov.Tensor(np.frombuffer(pages, np.uint8), shared_memory=True)
    return pages, core.import_model(tensor, "CPU", options).create_infer_request()


def _write(compiled: ov.CompiledModel, blob: Path) -> None:
    """All of it or nothing."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=blob.parent) as unfinished:
        whole = Path(unfinished, blob.name)
        whole.write_bytes(compiled.export_model().getbuffer())
        whole.replace(blob)

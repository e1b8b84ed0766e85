"""A graph that is compiled for this machine, and can be stopped while it computes.

To compile a graph takes seconds, and twice the memory of its weights. So a vision graph
is compiled once for each file, precision and machine, and mapped from the disk later.
"""

from __future__ import annotations

import logging
import mmap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from edge.errors import Cancelled, EngineError, SetupError
from edge.openvino.cache_files import atomic_write, cache_path, map_file
from edge.openvino.nodes import Precision

log = logging.getLogger(__name__)

# Activations that share a scale when they are quantized: the more, the less exact. On
# Zen 5 groups of 32 took a quarter longer, of 64 a tenth; 256 was not faster. Weights
# in groups of 32 need the same: with another number the plugin crashes.
QUANTIZATION_GROUP: Final[dict[Precision, int]] = {"int8": 128, "u4": 32, "f32": 0}


class Compiled:
    """A compiled graph, and the `pages` that its weights were read from."""

    def __init__(self, request: Any, pages: mmap.mmap | None = None) -> None:
        self._request = request
        self._pages = pages
        self._lock = threading.Lock()
        self._is_interrupted = False

    def allocate_state(self, word: str, n: int) -> list[npt.NDArray[Any]]:
        """Allocates `n` rows for each input whose name contains `word`. They keep their
        contents from run to run; the arrays returned are views of them."""
        state = []
        for port in self._request.model_inputs:
            if word in port.any_name:
                _, *row = port.partial_shape
                shape = [n, *(each.get_length() for each in row)]
                tensor = ov.Tensor(port.element_type, ov.Shape(shape))
                tensor.data[:] = 0  # allocates now, not at the first question
                self._request.set_tensor(port, tensor)
                state.append(tensor.data)
        return state

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Computes the outputs, which the next run overwrites; `inputs` are the first
        ones of the graph.

        Raises Cancelled when it was interrupted, EngineError when it failed.
        """
        with self._lock:
            self._is_interrupted = False
            self._request.start_async(inputs, share_inputs=True)
        try:
            self._request.wait()
        except RuntimeError as error:
            if self._is_interrupted:
                raise Cancelled("This computation is not needed any more.") from None
            raise EngineError("OpenVINO could not compute this.") from error
        if self._pages:  # the kernels use their own copy by now
            self._pages.madvise(mmap.MADV_DONTNEED)
        return [tensor.data for tensor in self._request.output_tensors]

    def interrupt(self) -> None:
        """Ends the present run. Any thread may call it."""
        with self._lock:
            self._is_interrupted = True
            self._request.cancel()

    def close(self) -> None:
        del self._request


def compile_once(
    build: Callable[[], ov.Model],
    source: Path,
    folder: Path,
    *,
    name: str,
    revision: int,
    precision: Precision,
    threads: int,
) -> Compiled:
    """Compiles the graph that `build` makes of the GGUF file `source`, or maps it if it
    is in `folder` already. `threads` threads will compute it.

    `name` and `revision` distinguish it from other graphs of that file. Raises
    SetupError when it cannot be compiled here, and what `build` raises.
    """
    core = ov.Core()
    options = _options(core, precision, threads)
    parts = (
        ov.get_version(),
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        options,
    )
    blob = cache_path(source, folder, name, revision, *parts)
    try:
        return _open(core, build, options, blob)
    except (RuntimeError, OSError) as error:
        raise SetupError(f"OpenVINO cannot serve {source}: {error}.") from error


def compile_now(
    build: Callable[[], ov.Model],
    source: Path,
    *,
    precision: Precision,
    threads: int,
    kv: str,
    pages: mmap.mmap | None = None,
) -> Compiled:
    """Compiles a graph of the GGUF file `source` with a KV cache of the type `kv`; its
    weights lie in `pages`.

    Not stored on the disk: the plugin cannot import a graph that holds a KV cache.
    Raises SetupError when it cannot be compiled here.
    """
    core = ov.Core()
    options = _options(core, precision, threads) | {
        "KV_CACHE_PRECISION": kv,
        # One scale for each head of a token. By channel, a block's keys would share
        # scales, and be rounded again whenever a token is added to it.
        "KEY_CACHE_QUANT_MODE": "BY_TOKEN",
    }
    try:
        request = core.compile_model(build(), "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise SetupError(f"OpenVINO cannot serve {source}: {error}.") from error
    return Compiled(request, pages)


def _options(core: ov.Core, precision: Precision, threads: int) -> dict[str, object]:
    """Options of the CPU plugin: all threads compute one request, and none is pinned to
    a core, where the other model might compute."""
    is_fast = precision != "f32"
    can_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if is_fast and can_bf16 else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": QUANTIZATION_GROUP[precision],
    }


def _open(
    core: ov.Core,
    build: Callable[[], ov.Model],
    options: dict[str, object],
    blob: Path,
) -> Compiled:
    try:
        return _load(core, blob, options)
    except (RuntimeError, OSError, ValueError):  # missing or damaged
        log.info("compiling %s for this machine, only this once", blob.stem)
    compiled = core.compile_model(build(), "CPU", options)
    try:
        _write(compiled, blob)
    except OSError as error:
        log.warning("%s It will be compiled at each start.", error)
        return Compiled(compiled.create_infer_request())
    return _load(core, blob, options)


def _load(core: ov.Core, blob: Path, options: dict[str, object]) -> Compiled:
    pages = map_file(blob)
    tensor = ov.Tensor(np.frombuffer(pages, np.uint8), shared_memory=True)
    graph = core.import_model(tensor, "CPU", options)
    return Compiled(graph.create_infer_request(), pages)


def _write(compiled: ov.CompiledModel, blob: Path) -> None:
    with atomic_write(blob) as file:
        file.write(compiled.export_model().getbuffer())

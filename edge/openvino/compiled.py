"""A graph that is compiled for this machine.

To compile a graph takes seconds, and twice the memory of its weights. So a vision graph
is compiled once for each file, precision and machine, and mapped from the disk later.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from edge.errors import EngineError, SetupError
from edge.openvino.cache_files import (
    atomic_write,
    cache_path,
    drop,
    dropping,
    map_file,
)
from edge.openvino.kernels import Kernels
from edge.openvino.pauses import Pauses

log = logging.getLogger(__name__)

# Of each kind, for one graph. Each number of patches or tokens has its own kernels, six
# of a kind and 2 MB together; the plugin's default is 5000.
CACHED_KERNELS: Final = 256


class Compiled:
    """A compiled graph, and the `pages` that its weights were read from."""

    def __init__(self, request: Any, pages: mmap.mmap | None = None) -> None:
        self._request = request
        self._pages = pages
        self._has_run = False
        self._state: list[
            npt.NDArray[np.uint8]
        ] = []  # tensors do not hold their memory

    def allocate_state(self, word: str, n: int) -> list[npt.NDArray[Any]]:
        """Allocates `n` rows for each input whose name contains `word`. They keep their
        contents from run to run; the arrays returned are views of them.

        They are zeros, and take memory only where something was written."""
        state = []
        for port in self._request.model_inputs:
            if word in port.any_name:
                _, *row = port.partial_shape
                shape = ov.Shape([n, *(each.get_length() for each in row)])
                n_bytes = prod(shape) * port.element_type.size
                memory = mmap.mmap(-1, n_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                pages = np.frombuffer(memory, np.uint8)
                tensor = ov.Tensor(pages, shape, port.element_type)
                self._request.set_tensor(port, tensor)
                self._state.append(pages)
                state.append(tensor.data)
        return state

    def share_state(self, other: Compiled, word: str) -> None:
        """Uses the tensors of `other` for each input whose name contains `word`."""
        theirs = {port.any_name: port for port in other._request.model_inputs}
        for port in self._request.model_inputs:
            if word in port.any_name:
                tensor = other._request.get_tensor(theirs[port.any_name])
                self._request.set_tensor(port, tensor)

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Computes the outputs, which the next run overwrites; `inputs` are the first
        ones of the graph.

        Raises EngineError when it failed.
        """
        try:
            with self._reading():
                self._request.start_async(inputs, share_inputs=True)
                self._request.wait()
        except RuntimeError as error:
            raise EngineError("OpenVINO could not compute this.") from error
        return [tensor.data for tensor in self._request.output_tensors]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around a run. The kernels copy their weights when they first run, most of
        them in the first run: both copies at once would be the peak of a worker."""
        if self._pages is None:
            yield
        elif self._has_run:
            yield
            drop(self._pages)
        else:
            with dropping(self._pages):
                yield
            self._has_run = True

    def release_workspace(self) -> None:
        """Frees the memory of intermediate results; the next run allocates it again."""
        self._request.get_compiled_model().release_memory()

    def close(self) -> None:
        del self._request


def compile_once(
    build: Callable[[], ov.Model],
    source: Path,
    folder: Path,
    *,
    name: str,
    revision: int,
    kernels: Kernels,
    threads: int,
    pauses: Pauses,
) -> Compiled:
    """Compiles the graph that `build` makes of the GGUF file `source`, or maps it if it
    is in `folder` already. `threads` threads will compute it; `pauses` are nodes of it.

    `name` and `revision` distinguish it from other graphs of that file. Raises
    SetupError when it cannot be compiled here, and what `build` raises.
    """
    core = _core()
    core.add_extension(pauses.extension)
    options = _options(kernels, threads)
    parts = (
        ov.get_version(),
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        options,
    )
    blob = cache_path(source, folder, name, revision, *parts)
    try:
        return _open(core, build, options, blob, pauses)
    except (RuntimeError, OSError) as error:
        raise SetupError(f"OpenVINO cannot serve {source}: {error}.") from error


def compile_now(
    build: Callable[[], ov.Model],
    source: Path,
    *,
    kernels: Kernels,
    threads: int,
    kv: str,
    pages: mmap.mmap | None = None,
) -> Compiled:
    """Compiles a graph of the GGUF file `source` with a KV cache of the type `kv`; its
    weights lie in `pages`.

    Not stored on the disk: the plugin cannot import a graph that holds a KV cache.
    Raises SetupError when it cannot be compiled here.
    """
    core = _core()
    options = _options(kernels, threads) | {
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


def _core() -> ov.Core:
    """oneDNN in the plugin caches the same kernels again, 1024 of the whole process,
    and reads their number only here, before the first kernel."""
    os.putenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")
    return ov.Core()


def _options(kernels: Kernels, threads: int) -> dict[str, object]:
    """Options of the CPU plugin: all threads compute one request, and none is pinned to
    a core, where the other model might compute."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": kernels.hint,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": kernels.group,
        "CPU_RUNTIME_CACHE_CAPACITY": CACHED_KERNELS,
    }


def _open(
    core: ov.Core,
    build: Callable[[], ov.Model],
    options: dict[str, object],
    blob: Path,
    pauses: Pauses,
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
    del compiled
    pauses.detach()
    return _load(core, blob, options)


def _load(core: ov.Core, blob: Path, options: dict[str, object]) -> Compiled:
    pages = map_file(blob)
    tensor = ov.Tensor(np.frombuffer(pages, np.uint8), shared_memory=True)
    graph = core.import_model(tensor, "CPU", options)
    return Compiled(graph.create_infer_request(), pages)


def _write(compiled: ov.CompiledModel, blob: Path) -> None:
    with atomic_write(blob) as file:
        file.write(compiled.export_model().getbuffer())

"""A graph that is compiled for this machine, and can be stopped while it computes.

To make a graph out of a GGUF file takes seconds, and twice its memory. So what costs
most is done once for each file, precision and machine, and mapped from the disk then.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from edge.errors import Cancelled, EngineError, SetupError
from edge.openvino.nodes import Precision

log = logging.getLogger(__name__)

# Activations that share a scale when they are rounded to whole numbers: the more, the
# less exact. On Zen 5 32 took a quarter longer and 64 a tenth; 256 was not faster.
ROUNDED_TOGETHER = 128


class Compiled:
    """A graph that computes, and the `pages` that its weights were read from."""

    def __init__(self, request: Any, pages: mmap.mmap | None = None) -> None:
        self._request = request
        self._pages = pages
        self._lock = threading.Lock()
        self._is_interrupted = False

    def allocate_state(self, word: str, n: int) -> list[npt.NDArray[Any]]:
        """Takes memory of `n` rows for each input with that word in its name, which
        stays in place from run to run."""
        held = []
        for port in self._request.model_inputs:
            if word in port.any_name:
                _, *row = port.partial_shape
                shape = [n, *(each.get_length() for each in row)]
                tensor = ov.Tensor(port.element_type, ov.Shape(shape))
                tensor.data[:] = 0  # takes it now, not when somebody asks
                self._request.set_tensor(port, tensor)
                held.append(tensor.data)
        return held

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs, which the next run overwrites; `inputs` are the first ones.

        Raises Cancelled when it was interrupted, EngineError when it failed.
        """
        with self._lock:
            self._is_interrupted = False
            self._request.start_async(inputs)
        try:
            self._request.wait()
        except RuntimeError as error:
            if self._is_interrupted:
                raise Cancelled("Nobody waits for this any more.") from None
            raise EngineError("OpenVINO could not compute this.") from error
        if self._pages:  # the kernels keep an order of their own: these can go
            self._pages.madvise(mmap.MADV_DONTNEED)
        return [tensor.data for tensor in self._request.output_tensors]

    def interrupt(self) -> None:
        """Ends the run in hand. Any thread may."""
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
    """What `build` makes out of the GGUF file `source`, computed by `threads` threads.

    `name` and `revision` tell it from other graphs of that file; `folder` keeps what
    was compiled. Raises SetupError when it cannot be compiled here, and what `build`
    raises.
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
    """A graph with a cache of numbers of the type `kv`, whose weights lie in `pages`,
    made out of the GGUF file `source`.

    Not for the disk: what the plugin writes down it cannot read with a cache in it.
    Raises SetupError when it cannot be compiled here.
    """
    core = ov.Core()
    options = _options(core, precision, threads) | {"KV_CACHE_PRECISION": kv}
    try:
        request = core.compile_model(build(), "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise SetupError(f"OpenVINO cannot serve {source}: {error}.") from error
    return Compiled(request, pages)


def cache_path(
    source: Path, folder: Path, name: str, revision: int, *parts: object
) -> Path:
    """Where what is made of the GGUF file `source` lies, if it was made for all these:
    another revision, another file, other parts. What was made before for others goes.
    """
    file = source.stat()
    key = (revision, source.resolve(), file.st_size, file.st_mtime_ns, *parts)
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    found = folder / f"{source.stem}-{name}-{digest}.blob"
    for old in folder.glob(f"{source.stem}-{name}-*.blob"):
        if old != found:
            old.unlink(missing_ok=True)
    return found


def _options(core: ov.Core, precision: Precision, threads: int) -> dict[str, object]:
    """How the CPU plugin is to compute: all threads on one thing, free to move to where
    the language model is not."""
    is_fast = precision == "int8"
    can_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if is_fast and can_bf16 else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": ROUNDED_TOGETHER if is_fast else 0,
    }


def _open(
    core: ov.Core,
    build: Callable[[], ov.Model],
    options: dict[str, object],
    blob: Path,
) -> Compiled:
    try:
        return _load(core, blob, options)
    except (RuntimeError, OSError, ValueError):  # not there, or damaged
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


def map_file(path: Path) -> mmap.mmap:
    """OpenVINO takes only memory that could be written; nobody does."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there only when all of it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as unfinished:
        whole = Path(unfinished, path.name)
        with whole.open("wb") as file:
            yield file
        whole.replace(path)

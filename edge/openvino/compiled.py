"""A graph that is compiled for this machine once, and can be stopped while it computes.

Building a graph takes seconds and twice its memory, so it is done once for each file,
precision and machine; what the compiler made of it lies on disk and is mapped from
there.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
    """What `build` makes out of the GGUF file `source`, computed by `threads` threads.

    `name` and `revision` tell it from other graphs of that file; `folder` keeps what
    was compiled. Raises SetupError when it cannot be compiled here, and what `build`
    raises.
    """

    def __init__(
        self,
        build: Callable[[], ov.Model],
        source: Path,
        folder: Path,
        *,
        name: str,
        revision: int,
        precision: Precision,
        threads: int,
    ) -> None:
        core = ov.Core()
        options = _options(core, precision, threads)
        key = _key(core, source, revision, options)
        blob = folder / f"{source.stem}-{name}-{key}.blob"
        try:
            self._pages, self._request = _open(core, build, options, blob)
        except (RuntimeError, OSError) as error:
            raise SetupError(f"OpenVINO cannot serve {source}: {error}.") from error
        for old in folder.glob(f"{source.stem}-{name}-*.blob"):
            if old != blob:
                old.unlink(missing_ok=True)
        self._lock = threading.Lock()
        self._is_interrupted = False

    def run(self, *inputs: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """The outputs, which the next run overwrites.

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


def _key(core: ov.Core, source: Path, revision: int, options: dict[str, object]) -> str:
    """Changes when anything changes that a compiled graph depends on."""
    file = source.stat()
    parts = (
        revision,
        source.resolve(),
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
    build: Callable[[], ov.Model],
    options: dict[str, object],
    blob: Path,
) -> tuple[mmap.mmap | None, Any]:
    """The compiled graph, ready to compute, and the pages of the file that it lies in,
    where there could be one."""
    try:
        return _load(core, blob, options)
    except (RuntimeError, OSError, ValueError):  # not there, or damaged
        log.info("compiling %s for this machine, only this once", blob.stem)
    compiled = core.compile_model(build(), "CPU", options)
    try:
        _write(compiled, blob)
    except OSError as error:
        log.warning("%s It will be compiled at each start.", error)
        return None, compiled.create_infer_request()
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

"""The short measurement that a first start takes, so that nobody has to ask for it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

from edge.errors import SetupError
from edge.models.pair import LLAMA_ONLY
from edge.models.registry import ModelFiles
from edge.serving.plan import Plan
from edge.serving.tune import measure_variants
from edge.serving.tuning import load, save, tuning_path
from edge.settings import Settings

WITHIN_S: Final = 20.0
WAIT_S: Final = 60.0  # for another process that measures
LOOK_S: Final = 0.1
# Smaller models are fast enough anywhere: nothing is measured for them.
SMALL_BYTES: Final = 100_000_000


def tune_at_first_start(plan: Plan, say: Callable[[str], None]) -> bool:
    """Measures for a plan whose files were never measured here, and saves the result
    for this and later starts. Returns whether there is a new one.

    Never raises: without a result the plan's defaults serve, and `say` tells why.
    """
    settings, files = plan.settings, plan.files
    if plan.tuning or plan.need.weights_bytes < SMALL_BYTES:
        return False
    if files.model_header.architecture == LLAMA_ONLY:  # `write_short` knows no experts
        return False
    try:
        with _one_at_a_time(settings, files):
            if load(settings, files)[0]:  # another process was first
                return True
            say(f"Measuring {files.name} on this machine, only this once: 20 s.")
            save(
                measure_variants(settings, files, say, WITHIN_S, is_brief=True),
                settings,
                files,
            )
            return True
    except (SetupError, OSError) as error:
        say(f"{files.name} is served with default kernels, not measured: {error}")
        return False


@contextmanager
def _one_at_a_time(settings: Settings, files: ModelFiles) -> Iterator[None]:
    """While this block runs, other processes wait. Raises OSError where the folder of
    measurements cannot be written."""
    path = tuning_path(settings, files).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        _lock(file)
        yield


def _lock(file: IO[str]) -> None:
    """Raises TimeoutError, an OSError, if another process holds it for too long: a
    start must not hang because that one does."""
    ends = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= ends:
                raise TimeoutError("another process measures for too long") from None
            time.sleep(LOOK_S)

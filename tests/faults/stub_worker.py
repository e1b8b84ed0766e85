"""A real worker process around a stub engine that can be made to fail.

`python stub_worker.py --step-s 0.02 --tower stub`; a prompt with one of the words below
does the worst that native code has been seen to do.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge.engine.engine import Engine
from edge.engine.step import Sampled, Step
from edge.errors import EngineError
from edge.images import Picture
from edge.settings import Settings
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from edge.stubs.vision import StubTower
from worker.app import run
from worker.lifecycle import Life


def nan() -> None:
    raise EngineError("The logits are not numbers.")


FAULTS = {
    "[abort]": os.abort,
    "[segv]": lambda: ctypes.string_at(0),
    "[hang]": lambda: time.sleep(3600),
    "[nan]": nan,
}


class Runtime(StubRuntime):
    """Takes its time while the file `slowly` of the service exists."""

    def __init__(self, slowly: Path, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slowly = slowly

    def run(self, step: Step) -> list[Sampled]:
        if self._slowly.exists():
            time.sleep(0.5)
        return super().run(step)


class Tower(StubTower):
    """Does not go on with a picture while the file `looking` of the service exists."""

    def __init__(self, looking: Path, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._looking = looking

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        def pause_long() -> None:
            pause()
            while self._looking.exists():
                time.sleep(0.05)

        return super().embed(picture, pause_long)


def main(
    step_s: float = 0.02,
    tower: str = "stub",
    tower_s: float = 0.0,
    load_s: float = 0.0,
    thoughts: str = "",
    answer: str = LONG_ANSWER,
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    settings = Settings.load()

    def build(*_: object) -> Engine:
        time.sleep(load_s)
        folder = Path(settings.data_dir)
        runtime = Runtime(
            folder / "slowly",
            f"{thoughts}\n</think>\n\nIt is red." if thoughts else answer,
            n_slots=settings.slots,
            n_cells=settings.context_tokens,
            step_s=step_s,
            faults=FAULTS,
        )
        eye = Tower(folder / "looking", tower_s)
        eye.name = tower
        template = "add_generation_prompt <think>" if thoughts else ""
        return Engine(runtime, eye, settings.chunk_tokens, chat_template=template)

    life = Life(settings)
    life.start(build)
    run(settings, life)


if __name__ == "__main__":
    typer.run(main)

"""What a worker does before it takes its first question."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import numpy.typing as npt
import pytest

from edge.engine.engine import Engine
from edge.errors import EngineError
from edge.images import Picture
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from worker.lifecycle import warm


class BrokenTower(StubTower):
    def embed(self, picture: Picture) -> npt.NDArray[np.float16]:
        raise RuntimeError("this machine lacks an instruction")


def test_a_model_that_cannot_compute_ends_the_start() -> None:
    engine = Engine(StubRuntime(), BrokenTower())
    with closing(engine), pytest.raises(EngineError):
        warm(engine)


def test_the_first_question_measures_the_machine() -> None:
    with closing(Engine(StubRuntime(), StubTower())) as engine:
        size, answer = warm(engine)
    assert size.encode_tokens > 0
    assert answer.usage.completion_tokens > 0 and answer.timings.embed_ms > 0

"""What a worker does before it takes its first question."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest

from edge.engine.engine import Engine
from edge.errors import EngineError
from edge.images import Picture
from edge.settings import Settings
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from worker.lifecycle import Life, warm


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


def test_a_signal_to_stop_may_interrupt_another() -> None:
    """Locks that the first one holds are not waited for in the second."""
    life = Life(Settings(broker_url="redis://nowhere"))
    life.relay, life._heartbeat = Mock(), Mock()
    life._heartbeat.close.side_effect = life.drain
    life.drain()
    life.drain()
    assert life.relay.drain.call_count == life._heartbeat.close.call_count == 1


@pytest.mark.model
@pytest.mark.parametrize(("embeddings_mb", "n_said"), [(64, 1), (0, 0)])
def test_a_worker_without_a_cache_says_so_once(
    caplog: pytest.LogCaptureFixture,
    redis_url: str,
    tmp_path: Path,
    embeddings_mb: int,
    n_said: int,
) -> None:
    settings = Settings(
        broker_url=redis_url,
        model="tiny",
        data_dir=tmp_path,
        embeddings_mb=embeddings_mb,
    )
    life = Life(settings)
    life.start(lambda _: Engine(StubRuntime(), StubTower()))
    life.stop()
    assert caplog.text.count("EDGE_CACHE_URL is empty") == n_said

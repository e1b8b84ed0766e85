"""`edge switch`: how it waits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from edge.cli import switch
from edge.errors import SetupError
from edge.jobs.switching import Switch


class Former:
    """A former model that has work at the first look, and a default that moves on
    meanwhile."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self.drained: list[str] = []
        self._befores = iter(["tiny", "other"])
        self._look = look

    def before(self) -> str:
        return next(self._befores)

    def drain(self, model: str) -> bool:
        self.drained.append(model)
        return self._look()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "LOOK_S", 0.0)
    monkeypatch.setattr(switch, "PATIENCE_S", 0.1)


def test_it_waits_for_the_model_that_was_the_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever somebody else has made the default since."""
    looks = iter([False, True])
    former = Former(lambda: next(looks))
    switch._drain(former)  # type: ignore[arg-type]
    assert former.drained == ["tiny", "tiny"]
    assert "tiny: it has answered all" in capsys.readouterr().err


def test_an_edge_up_that_was_started_again_is_said() -> None:
    """It has forgotten the switch, and is there."""
    switching: Any = SimpleNamespace(latest=lambda: None, is_supervised=lambda: True)
    with pytest.raises(SetupError, match="was started again"):
        switch._follow(switching, Switch("new", "wished", ""))


def test_a_broker_that_stays_away_ends_the_wait() -> None:
    def away() -> bool:
        raise ConnectionError("away")

    with pytest.raises(SetupError, match="broker cannot be reached"):
        switch._drain(Former(away))  # type: ignore[arg-type]

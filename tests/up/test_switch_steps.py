"""The steps of a switch beside models that wake, fall asleep, or sleep already."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge.jobs.switching import Wish
from edge.up import switch, workers
from edge.up.switch import ModelSwitch
from edge.up.workers import Workers


def model(name: str, **more: Any) -> Any:
    info = SimpleNamespace(pool=f"pool-{name}")
    known = {"is_busy": False, "is_loaded": True, "growth_bytes": 0, "plan": None}
    return SimpleNamespace(**{"name": name, "info": info} | known | more)


class Sleep:
    """Remembers whom it was asked to wake."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, worker: Any) -> Any:
        self.woken.append(worker.name)
        worker.is_loaded = True
        yield


@pytest.mark.parametrize("busy", ["old", "known"])
def test_a_switch_waits_until_nothing_else_is_done_with_its_models(busy: str) -> None:
    """Two that load, or end, one worker would each forget it."""
    old, known = model("old"), model("known")
    sleep = Sleep()
    reported: list[Any] = []
    one: Any = object.__new__(Workers)
    one._workers = {"old": old, "known": known}
    one._sleep = sleep
    one._switching = SimpleNamespace(
        default=lambda: "old",
        activate=lambda name: "default",
        report=lambda *words: reported.append(words),
    )
    {"old": old, "known": known}[busy].is_busy = True
    steps = one._switch(Wish("known", with_gap=False))
    for _ in range(5):
        next(steps)
        assert sleep.woken == []
    old.is_busy = known.is_busy = False
    assert [*steps] and sleep.woken == ["known"]
    assert reported[-1][1] == "done"


@pytest.mark.parametrize("fits", [True, False])
def test_what_waits_for_a_sleeping_model_is_answered_or_ended(
    monkeypatch: pytest.MonkeyPatch, *, fits: bool
) -> None:
    """While another one takes its place nobody else wakes it."""
    old = model("old", is_loaded=False, unload=lambda: iter(()))
    sleep, ended = Sleep(), list[str]()
    one: Any = object.__new__(ModelSwitch)
    one._old, one._new, one._wake = old, model("new"), sleep.wake
    one._end_waiting = ended.append
    one._report = lambda *_: iter(())
    one._switching = SimpleNamespace(retire=lambda pool: old.is_loaded or bool(ended))
    monkeypatch.setattr(switch, "fits_now", lambda plan, growth_bytes: fits)
    for n, _ in enumerate(one._retire_old()):
        assert n < 10
    assert (sleep.woken, ended) == ((["old"], []) if fits else ([], ["pool-old"]))


def test_a_step_that_fails_ends_nothing_else() -> None:
    def failing() -> Any:
        yield
        raise ValueError("list.remove(x): x not in list")

    steps = failing()
    assert workers._go_on(steps)
    assert not workers._go_on(steps)

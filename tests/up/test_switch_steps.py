"""The steps of a switch beside models that wake, fall asleep, or sleep already."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from edge.errors import SetupError
from edge.jobs.switching import Wish
from edge.up import sleep, switch, workers
from edge.up.sleep import Sleep as RealSleep
from edge.up.switch import ModelSwitch
from edge.up.workers import Workers


def model(name: str, **more: Any) -> Any:
    info = SimpleNamespace(pool=f"pool-{name}")
    known = {"is_busy": False, "is_loaded": True, "has_failed": False}
    known |= {"growth_bytes": 0, "plan": None}
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
    sleeping = Sleep()
    reported: list[Any] = []
    one: Any = object.__new__(Workers)
    one._workers = {"old": old, "known": known}
    one._sleep = sleeping
    one._switching = SimpleNamespace(
        default=lambda: "old",
        activate=lambda name: "default",
        report=lambda *words: reported.append(words),
    )
    {"old": old, "known": known}[busy].is_busy = True
    steps = one._switch(Wish("known", with_gap=False))
    for _ in range(5):
        next(steps)
        assert sleeping.woken == []
    old.is_busy = known.is_busy = False
    assert [*steps] and sleeping.woken == ["known"]
    assert reported[-1][1] == "done"


@pytest.mark.parametrize("way", ["loads", "does not fit", "does not load"])
def test_what_waits_for_a_sleeping_model_is_answered_or_ended(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """While another one takes its place nobody else wakes it."""

    def load(broker: Any) -> Any:
        yield
        if way == "does not load":
            raise SetupError("Its file is gone.")
        old.is_loaded = True

    old = model("old", is_loaded=False, unload=lambda: iter(()), load=load)
    old.close_stand_in = lambda: None
    ended: list[str] = []
    one: Any = object.__new__(ModelSwitch)
    one._old, one._new, one._broker = old, model("new"), None
    one._end_waiting = ended.append
    one._report = lambda *_: iter(())
    one._switching = SimpleNamespace(retire=lambda pool: old.is_loaded or bool(ended))
    fits = way != "does not fit"
    monkeypatch.setattr(switch, "fits_now", lambda plan, growth_bytes: fits)
    for n, _ in enumerate(one._retire_old()):
        assert n < 10
    assert ended == ([] if way == "loads" else ["pool-old"])


def test_a_switch_goes_away_from_a_model_that_does_not_load() -> None:
    """It tries again for ever, and is busy meanwhile."""
    old = model("old", is_busy=True, has_failed=True)
    reported: list[Any] = []
    one: Any = object.__new__(Workers)
    one._workers = {"old": old, "known": model("known")}
    one._sleep = Sleep()
    one._switching = SimpleNamespace(
        default=lambda: "old",
        activate=lambda name: "default",
        report=lambda *words: reported.append(words),
    )
    assert len([*one._switch(Wish("known", with_gap=False))]) < 10
    assert reported[-1][1] == "done"


def test_a_switch_that_breaks_is_reported() -> None:
    reported: list[Any] = []
    one: Any = object.__new__(Workers)
    one._workers = None  # as nothing would expect
    one._switching = SimpleNamespace(
        default=lambda: "old", report=lambda *words: reported.append(words)
    )
    assert [*one._switch(Wish("known", with_gap=False))] == []
    assert reported[-1][1] == "failed"


def test_a_step_that_fails_ends_nothing_else() -> None:
    def failing() -> Any:
        yield
        raise ValueError("list.remove(x): x not in list")

    steps = failing()
    assert workers._go_on(steps)
    assert not workers._go_on(steps)


def test_a_model_that_was_replaced_is_not_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It could not be loaded when it was to wake, and was switched away from."""
    monkeypatch.setattr(sleep, "RETRY_S", 0.05)
    pauses: list[Any] = []

    def load(broker: Any) -> Any:
        yield
        raise SetupError("Its file is gone.")

    busy = SimpleNamespace(busy=nullcontext, close_stand_in=lambda: None)
    old = model("old", is_loaded=False, stand_in=None, load=load, **vars(busy))
    there = [old]
    one: Any = object.__new__(RealSleep)
    one._broker, one._workers, one._say = None, there, lambda *_: pauses.append(1)
    steps = one.wake(old)
    while not pauses:
        next(steps)
    there.clear()
    give_up = time.monotonic() + 60
    for _ in steps:
        assert time.monotonic() < give_up
    assert pauses == [1]


@pytest.mark.parametrize("error", [SetupError("Its file is gone."), OSError("no disk")])
def test_a_gap_ends_with_the_old_model_if_the_new_one_does_not_start(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load(broker: Any) -> Any:
        yield
        raise error

    stand_in = SimpleNamespace(begin_loading=lambda: None, close=lambda: None)
    monkeypatch.setattr(switch, "StandIn", lambda *_: stand_in)
    monkeypatch.setattr(switch, "expected_info", lambda _: model("new").info)
    active: list[str] = []
    sleeping = Sleep()
    one: Any = object.__new__(ModelSwitch)
    one._broker, one._wake = None, sleeping.wake
    one._old, one._new = model("old"), model("new", load=load, load_s=1.0)
    one._switching = SimpleNamespace(
        reopen=lambda pool: None,
        activate=lambda name, **_: active.append(name),
        report=lambda *words: None,
    )
    one._retire_old = one._abandon = lambda *_: iter(())
    with pytest.raises(type(error)):
        for _ in one.after():
            time.sleep(0.01)
    assert (sleeping.woken, active[-1]) == (["old"], "old")

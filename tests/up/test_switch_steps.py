"""The steps of a switch, beside models that wake, fall asleep, or sleep already."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from edge.errors import SetupError
from edge.jobs.switching import Wish
from edge.up import sleep, switch, workers
from edge.up.switch import ModelSwitch
from edge.up.workers import Workers


def model(name: str, **more: Any) -> Any:
    info = SimpleNamespace(pool=f"pool-{name}")
    known = {"is_busy": False, "is_loaded": True, "n_failures": 0, "load_s": 1.0}
    known |= {"growth_bytes": 0, "plan": None, "stand_in": None, "busy": nullcontext}
    return SimpleNamespace(**{"name": name, "info": info} | known | more)


class Sleep:
    """Remembers whom it was asked to wake, and how long others were to stay."""

    def __init__(self, *, has_room: bool = True, error: SetupError | None = None):
        self.woken: list[str] = []
        self.turns_s: list[float] = []
        self._has_room, self._error = has_room, error

    def has_room(self, worker: Any) -> bool:
        return self._has_room

    def make_room(self, worker: Any, turn_s: float) -> Any:
        self.turns_s.append(turn_s)
        yield

    def wake(self, worker: Any) -> Any:
        self.woken.append(worker.name)
        yield
        if self._error:
            raise self._error
        worker.is_loaded = True


def switches(
    reported: list[Any], sleeping: Sleep, *models: Any, default: str = "old"
) -> Any:
    """The `Workers` of these models."""
    one: Any = object.__new__(Workers)
    one._workers = {each.name: each for each in models}
    one._sleep = sleeping
    one._switching = SimpleNamespace(
        default=lambda: default,
        activate=lambda name: "moved",
        renew=lambda: None,
        report=lambda _, state, message: reported.append((state, message)),
    )
    return one


@pytest.mark.parametrize("busy", ["old", "known"])
def test_a_switch_waits_until_nothing_else_is_done_with_its_models(busy: str) -> None:
    """Two that load, or end, one worker would each forget it."""
    old, known = model("old"), model("known", is_loaded=False)
    sleeping, reported = Sleep(), []
    one = switches(reported, sleeping, old, known)
    {"old": old, "known": known}[busy].is_busy = True
    steps = one._switch(Wish("known", with_gap=False))
    for _ in range(5):
        next(steps)
        assert sleeping.woken == []
    old.is_busy = known.is_busy = False
    assert [*steps] and sleeping.woken == ["known"]
    assert reported[-1][0] == "done"


@pytest.mark.parametrize(("with_gap", "turn_s"), [(False, sleep.TURN_S), (True, 0.0)])
def test_a_switch_to_a_model_that_sleeps_says_what_it_waits_for(
    with_gap: bool, turn_s: float
) -> None:
    """With a gap others make room for it at once."""
    sleeping, reported = Sleep(has_room=False), []
    known = model("known", is_loaded=False)
    one = switches(reported, sleeping, model("old"), known)
    assert [*one._switch(Wish("known", with_gap))]
    assert sleeping.turns_s == [turn_s]
    assert reported == [
        ("loading", "It waits until another model has left memory."),
        ("loading", "It loads, about 1 s."),
        ("done", "known is the default model now."),
    ]


def test_a_model_that_sleeps_and_does_not_load_ends_the_switch() -> None:
    sleeping, reported = Sleep(error=SetupError("Its file is gone.")), []
    one = switches(reported, sleeping, model("old"), model("known", is_loaded=False))
    assert [*one._switch(Wish("known", with_gap=False))]
    assert reported[-1] == ("failed", "Its file is gone. old serves on.")


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


def test_a_switch_that_breaks_is_reported() -> None:
    reported: list[Any] = []
    one = switches(reported, Sleep())
    one._workers = None  # as nothing would expect
    assert [*one._switch(Wish("known", with_gap=False))] == []
    assert reported[-1][0] == "failed"


def test_a_step_that_fails_ends_nothing_else() -> None:
    def failing() -> Any:
        yield
        raise ValueError("list.remove(x): x not in list")

    steps = failing()
    assert workers._go_on(steps)
    assert not workers._go_on(steps)


@pytest.mark.parametrize("error", [SetupError("Its file is gone."), OSError("no disk")])
@pytest.mark.parametrize("again", [None, SetupError("No memory is free.")])
def test_a_gap_ends_with_the_old_model_if_the_new_one_does_not_start(
    monkeypatch: pytest.MonkeyPatch, error: Exception, again: SetupError | None
) -> None:
    def load(broker: Any) -> Any:
        yield
        raise error

    stand_in = SimpleNamespace(begin_loading=lambda: None, close=lambda: None)
    stood_in: list[str] = []
    monkeypatch.setattr(
        switch, "StandIn", lambda _, info, __: stood_in.append(info.pool) or stand_in
    )
    monkeypatch.setattr(switch, "expected_info", lambda _: model("new").info)
    active: list[str] = []
    sleeping = Sleep(error=again)
    one: Any = object.__new__(ModelSwitch)
    one._broker, one._wake = None, sleeping.wake
    one._old = model("old", is_loaded=False)
    one._new = model("new", load=load)
    one._switching = SimpleNamespace(
        reopen=lambda pool: None,
        activate=lambda name, **_: active.append(name),
        report=lambda *words: None,
    )
    one._retire_old = one._abandon = lambda *_: iter(())
    with pytest.raises(
        SetupError if again else type(error), match=str(again) if again else None
    ):
        for _ in one.after():
            time.sleep(0.01)
    assert (sleeping.woken, active[-1]) == (["old"], "old")
    assert stood_in == ["pool-new", "pool-old"]  # for which questions wait then

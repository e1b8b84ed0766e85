"""Whose page is whose, and how many may be open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError, NotFound, Unavailable
from ui.sessions import IDLE_S, LIVE, OF_ONE_CALLER, Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_its_first_callers_until_it_is_idle() -> None:
    clock, dropped = Clock(), []
    sessions = Sessions(dropped.append, clock)
    sessions.use("s", "me")
    with pytest.raises(NotFound):
        sessions.use("s", "you")
    clock.now = IDLE_S - 1
    sessions.use("s", "me")
    clock.now = 2 * IDLE_S - 2
    with pytest.raises(NotFound):
        sessions.use("s", "you")
    clock.now = 2 * IDLE_S
    sessions.use("s", "you")
    assert dropped == ["s"]


def test_one_caller_pushes_out_only_sessions_of_its_own() -> None:
    dropped: list[str] = []
    sessions = Sessions(dropped.append, Clock())
    sessions.use("mine", "me")
    for i in range(2 * OF_ONE_CALLER):
        sessions.use(f"s{i}", "attacker")
    assert dropped == [f"s{i}" for i in range(OF_ONE_CALLER)]
    sessions.use("mine", "me")


def test_many_callers_are_refused_when_all_places_are_taken() -> None:
    sessions = Sessions(clock=Clock())
    for i in range(LIVE):
        sessions.use(f"s{i}", f"caller {i}")
    with pytest.raises(Unavailable):
        sessions.use("one more", "another")
    sessions.use("s0", "caller 0")


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9), st.floats(0, 99))))
def test_there_are_never_more_and_nobody_gets_anothers(steps) -> None:
    clock, live = Clock(), {}
    sessions = Sessions(lambda session: live.pop(session), clock)
    for session, caller, pause in steps:
        clock.now += pause
        before = live.get(str(session))
        try:
            sessions.use(str(session), str(caller))
        except EdgeError:
            continue
        assert str(session) not in live or before == str(caller)
        live[str(session)] = str(caller)
        assert len(live) <= LIVE

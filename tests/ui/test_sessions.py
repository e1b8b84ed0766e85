"""The caller of each page, and how many may be open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caller import ANONYMOUS, Caller
from edge.errors import EdgeError, NotFound, Unavailable
from ui.sessions import IDLE_S, LIVE, OF_ONE_ADDRESS, Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def at(name: str, address: str = "") -> Caller:
    return Caller(ANONYMOUS, name, address or name, ANONYMOUS)


def test_a_session_is_its_first_callers_until_it_is_idle() -> None:
    clock, dropped = Clock(), []
    sessions = Sessions(dropped.append, clock)
    sessions.use("s", at("me"))
    with pytest.raises(NotFound):
        sessions.use("s", at("you"))
    clock.now = IDLE_S - 1
    sessions.use("s", at("me"))
    clock.now = 2 * IDLE_S - 2
    with pytest.raises(NotFound):
        sessions.use("s", at("you"))
    clock.now = 2 * IDLE_S
    sessions.use("s", at("you"))
    assert dropped == ["s"]


def test_one_address_pushes_out_only_its_own_sessions() -> None:
    dropped: list[str] = []
    sessions = Sessions(dropped.append, Clock())
    sessions.use("mine", at("me"))
    for i in range(2 * OF_ONE_ADDRESS):
        sessions.use(f"s{i}", at(f"name {i}", "attacker"))
    assert dropped == [f"s{i}" for i in range(OF_ONE_ADDRESS)]
    sessions.use("mine", at("me"))


def test_several_addresses_leave_sessions_for_others() -> None:
    sessions = Sessions(clock=Clock())
    sessions.use("mine", at("me"))
    for i in range(1000):
        sessions.use(f"s{i}", at(f"name {i}", f"attacker {i % 8}"))
    sessions.use("mine", at("me"))
    for i in range(20):
        sessions.use(f"other {i}", at(f"other {i}"))
    sessions.use("mine", at("me"))


def test_a_new_session_is_refused_when_every_address_holds_one() -> None:
    sessions = Sessions(clock=Clock())
    for i in range(LIVE):
        sessions.use(f"s{i}", at(f"caller {i}"))
    with pytest.raises(Unavailable):
        sessions.use("one more", at("another"))
    sessions.use("s0", at("caller 0"))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9), st.floats(0, 99))))
def test_sessions_are_bounded_and_never_shared(steps) -> None:
    clock, live = Clock(), {}
    sessions = Sessions(lambda session: live.pop(session), clock)
    for session, caller, pause in steps:
        clock.now += pause
        before = live.get(str(session))
        try:
            sessions.use(str(session), at(str(caller)))
        except EdgeError:
            continue
        assert str(session) not in live or before == str(caller)
        live[str(session)] = str(caller)
        assert len(live) <= LIVE


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30),
    st.integers(1, 60),
)
def test_the_heaviest_address_is_dropped_first(
    pages: list[tuple[str, int]], most: int
) -> None:
    dropped: list[str] = []
    sessions = Sessions(dropped.append, Clock())
    weights = {f"s{i}": n for i, (_, n) in enumerate(pages)}
    for i, (address, _) in enumerate(pages):
        sessions.use(f"s{i}", at(f"{i}", address))
    sessions.give_up(weights.__getitem__, most)
    left = {session: n for session, n in weights.items() if session not in dropped}
    assert sum(left.values()) < most
    assert all(weights[session] for session in dropped)
    if dropped:
        by_address = dict.fromkeys("abc", 0)
        for address, n in pages:
            by_address[address] += n
        assert pages[int(dropped[0][1:])][0] in [
            one for one, n in by_address.items() if n == max(by_address.values())
        ]

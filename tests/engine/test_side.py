"""The second thread: what waits for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge.engine.side import Order, SideThread
from edge.errors import Cancelled
from tests.conftest import wait_for


@pytest.fixture
def side() -> Iterator[SideThread]:
    with closing(SideThread()) as one:
        yield one


class Log:
    """Orders that write down their names when they are computed."""

    def __init__(self) -> None:
        self.computed: list[str] = []
        self.done: list[str] = []
        self.gate = threading.Event()
        self.has_begun = threading.Event()

    def order(self, name: str, *, is_wanted: bool = True) -> Order:
        def compute() -> str:
            self.has_begun.set()
            if name == "gate":
                assert self.gate.wait(5)
            self.computed.append(name)
            return name

        return Order(
            compute=compute,
            interrupt=lambda: None,
            is_wanted=lambda: is_wanted,
            done=self.done.append,
        )


def test_pictures_come_in_their_order_each_when_it_may(side: SideThread) -> None:
    log = Log()
    for name in ("first", "second"):
        side.add(log.order(name))
    wait_for(lambda: log.done == ["first"])
    assert not side.is_busy
    side.go_on()
    assert side.is_busy or log.computed[-1] == "second"
    wait_for(lambda: log.done == ["first", "second"])


def test_it_is_busy_from_the_moment_that_it_may_begin(side: SideThread) -> None:
    """Else the engine would take all the cores for itself just then."""
    log = Log()
    for _ in range(200):
        log.gate.clear()
        side.add(log.order("gate"))
        assert side.is_busy
        log.gate.set()
        wait_for(lambda: not side.is_busy)
        side.go_on()


def test_what_nobody_wants_is_not_computed(side: SideThread) -> None:
    log = Log()
    side.add(log.order("unwanted", is_wanted=False))
    side.add(log.order("wanted"))
    wait_for(lambda: log.done == ["wanted"])
    assert log.computed == ["wanted"]


def test_what_goes_wrong_is_handed_over(side: SideThread) -> None:
    done: list[object] = []
    error = ValueError("broken")

    def broken() -> None:
        raise error

    side.add(Order(broken, lambda: None, lambda: True, done.append))
    wait_for(lambda: done == [error])


def test_an_interrupt_that_came_too_late_hits_nobody(side: SideThread) -> None:
    tries: list[int] = []
    done: list[object] = []

    def compute() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise Cancelled("meant for another")
        return "result"

    side.add(Order(compute, lambda: None, lambda: True, done.append))
    wait_for(lambda: done == ["result"])


def test_closing_leaves_what_has_not_begun() -> None:
    log, one = Log(), SideThread()
    for name in ("gate", "next"):
        one.add(log.order(name))
    wait_for(lambda: log.has_begun.is_set())
    threading.Timer(0.05, log.gate.set).start()
    one.close()
    assert log.computed == ["gate"]

"""Which picture is decoded next."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.caller import ANONYMOUS, Caller
from edge.errors import ClientLimit, QueueFull
from ui import fair_line
from ui.fair_line import DECODERS, MOST_WORKING, FairLine, Ticket


def ticket(name: str, address: str = "", is_large: bool = False) -> Ticket:
    """One of `name`, at an address of its own unless one is given."""
    return Ticket(Caller(ANONYMOUS, name, address or name, name), is_large)


def started(line: FairLine) -> list[str]:
    """The names of those that may start now."""
    return [one.caller.name for one in started_tickets(line)]


def started_tickets(line: FairLine) -> list[Ticket]:
    found = []
    while one := line.start():
        found.append(one)
    return found


def line_of(*tickets: Ticket) -> FairLine:
    line = FairLine()
    for one in tickets:
        line.enter(one)
    return line


def served(line: FairLine) -> list[str]:
    """The names in the order in which they are served, one after the other."""
    order = []
    while one := line.start():
        order.append(one.caller.name)
        line.leave(one)
    return order


def test_two_are_decoded_at_once() -> None:
    line = line_of(*map(ticket, "abc"))
    assert started(line) == ["a", "b"]
    assert (len(line._working), line.n_waiting) == (2, 1)


def test_each_name_and_address_has_one_decoder_at_a_time() -> None:
    assert started(line_of(ticket("a", "here"), ticket("a", "there"))) == ["a"]
    assert started(line_of(ticket("a"), ticket("a"), ticket("b"))) == ["a", "b"]


def test_small_pictures_of_an_address_alone_are_decoded_two_at_a_time() -> None:
    assert started(line_of(*map(ticket, "aaa"))) == ["a", "a"]
    names = [ticket(name, "here") for name in "aab"]
    line = line_of(*names)
    assert started_tickets(line) == [names[0], names[2]]  # names take turns
    line.leave(names[0])
    assert started_tickets(line) == [names[1]]


def test_large_pictures_of_an_address_are_decoded_one_by_one() -> None:
    for sizes in ((True, False), (False, True), (True, True)):
        assert len(started(line_of(*(ticket("a", "", size) for size in sizes)))) == 1


def test_two_pictures_of_an_address_leave_a_decoder_to_the_next_one() -> None:
    line = line_of(*map(ticket, "aa"))
    first, second = started_tickets(line)
    line.enter(ticket("b"))
    line.enter(ticket("c"))
    assert started(line) == ["b"]
    line.leave(first)
    assert started(line) == []
    line.leave(second)
    assert started(line) == ["c"]


def test_waiting_callers_take_turns() -> None:
    assert served(line_of(*map(ticket, "aaabbc"))) == list("abcaba")


def test_many_names_at_one_address_share_its_turn() -> None:
    crowd = [ticket(name, "crowd") for name in "abcd"]
    line = line_of(*crowd, ticket("v"), ticket("v"))
    assert served(line) == list("avbvcd")


def test_a_large_picture_leaves_a_decoder_to_small_ones() -> None:
    line = line_of(ticket("a", "", True), ticket("b", "", True), ticket("c"))
    first = started_tickets(line)
    assert [one.caller.name for one in first] == ["a", "c"]
    line.leave(first[1])
    assert started(line) == []
    line.leave(first[0])
    assert started(line) == ["b"]


def test_pictures_of_one_caller_keep_their_order() -> None:
    line = line_of(ticket("a", "", True), ticket("b", "", True), ticket("b"))
    large, *_ = started_tickets(line)
    line.leave(large)
    [second] = started_tickets(line)
    assert (second.caller.name, second.is_large) == ("b", True)


def test_one_address_is_bounded_over_all_its_names() -> None:
    line = FairLine()
    for n in range(fair_line.MAX_WAITING_OF_ADDRESS):
        line.enter(ticket(f"name {n}", "here"))
    with pytest.raises(ClientLimit) as caught:
        line.enter(ticket("another", "here"))
    assert caught.value.retry_after_s
    assert line.enter(ticket("another", "there")) is None


def test_in_a_full_line_the_longest_share_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fair_line, "MAX_WAITING", 5)
    crowd = [ticket("crowd") for _ in range(3)]
    line = line_of(*crowd, ticket("a"), ticket("b"))
    assert line.enter(ticket("c")) is crowd[2]
    assert line.enter(ticket("d")) is crowd[1]
    assert line.n_waiting == 5
    with pytest.raises(QueueFull) as caught:
        line.enter(ticket("e"))
    assert caught.value.retry_after_s
    assert served(line) == ["crowd", "a", "b", "c", "d"]


def test_a_picture_that_left_the_line_is_not_decoded() -> None:
    tickets = [*map(ticket, "abc")]
    line = line_of(*tickets)
    line.leave(tickets[1])
    line.leave(tickets[1])
    assert served(line) == ["a", "c"]
    line.leave(tickets[0])
    assert (len(line._working), line.n_waiting) == (0, 0)


@given(st.integers(1, 30), st.integers(0, 8))
def test_a_new_address_waits_for_one_picture_of_each_other(
    n_hostile: int, n_others: int
) -> None:
    """However many pictures an address has in the line."""
    line = FairLine()
    for n in range(min(n_hostile, fair_line.MAX_WAITING_OF_ADDRESS)):
        line.enter(ticket(f"made up {n}", "hostile"))
    for n in range(n_others):
        line.enter(ticket(f"other {n}"))
    line.enter(ticket("victim"))
    assert served(line).index("victim") <= 1 + n_others


NAMES = st.sampled_from("abcd")
ADDRESSES = st.sampled_from(["1", "2", "3"])


class Line(RuleBasedStateMachine):
    """Any order of coming, being served and leaving."""

    def __init__(self) -> None:
        super().__init__()
        self.line = FairLine()
        self.waiting: dict[tuple[str, str], deque[Ticket]] = {}
        self.working: list[Ticket] = []
        self.all_waiting: list[Ticket] = []

    @rule(name=NAMES, address=ADDRESSES, is_large=st.booleans())
    def enter(self, name: str, address: str, is_large: bool) -> None:
        one = ticket(name, address, is_large)
        try:
            assert self.line.enter(one) is None  # this many addresses never fill it
        except ClientLimit:
            here = [q for (_, where), q in self.waiting.items() if where == address]
            assert sum(map(len, here)) == fair_line.MAX_WAITING_OF_ADDRESS
            return
        self.waiting.setdefault((name, address), deque()).append(one)
        self.all_waiting.append(one)

    @rule()
    def start(self) -> None:
        one = self.line.start()
        if one is None:
            return
        line = self.waiting[one.caller.name, one.caller.address]
        assert line.popleft() is one  # first come, first served, inside one caller
        self.working.append(one)
        self.all_waiting.remove(one)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.working))
        self.line.leave(one)
        self.working.remove(one)

    @precondition(lambda self: self.all_waiting)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.all_waiting))
        self.line.leave(one)
        self.waiting[one.caller.name, one.caller.address].remove(one)
        self.all_waiting.remove(one)

    @invariant()
    def counts_are_true(self) -> None:
        assert self.line.n_waiting == sum(map(len, self.waiting.values()))
        assert len(self.line._working) == len(self.working) <= MOST_WORKING

    @invariant()
    def one_address_at_most_has_two_decoders(self) -> None:
        busy = Counter(one.caller.address for one in self.working)
        assert len(busy) <= DECODERS
        assert max(busy.values(), default=0) <= 2
        assert list(busy.values()).count(2) <= 1
        assert sum(one.is_large for one in self.working) <= fair_line.LARGE_AT_ONCE

    def teardown(self) -> None:
        """After any history every caller is served."""
        for one in self.working:
            self.line.leave(one)
        assert len(served(self.line)) == len(self.all_waiting)
        assert self.line.n_waiting == len(self.line._working) == 0


TestLine = Line.TestCase

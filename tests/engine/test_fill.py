"""Prompts computed beside the engine: whoever computes them, the answer is the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from edge.engine.batch import Batch, Cells, TokenBatch
from edge.engine.engine import Engine
from edge.engine.protocols import NoPrefill, Prefill
from edge.errors import Cancelled, EngineError
from edge.events import Failed, Finished, Started, Token
from edge.images import Picture
from edge.prefill.stub import StubPrefill
from edge.runtime.stub import LONG_ANSWER, StubRuntime
from edge.vision.stub import StubTower
from tests.engine.asking import ask, events

PICTURE = Picture(320, 320, bytes(320 * 320 * 3))  # 100 cells
LONG = "a question of a hundred words " * 5


class Runtime(StubRuntime):
    """Remembers how many rows of prompts it has computed."""

    n_computed = 0

    def run(self, batch: Batch, n_threads: int | None = None) -> list[int]:
        said = super().run(batch, n_threads)
        self.n_computed += batch.n_rows - len(said)
        return said


@contextmanager
def engine(prefill: Prefill, runtime: StubRuntime | None = None) -> Iterator[Engine]:
    tower = StubTower()
    with closing(Engine(runtime or StubRuntime(), tower, prefill=prefill)) as one:
        yield one


def cells_after(prefill: Prefill, runtime: Runtime) -> list[list[int]]:
    """Positions and tokens of a long conversation, once its answer has begun."""
    with engine(prefill, runtime) as one:
        ticket = ask(one, LONG, PICTURE, max_tokens=2000)
        while not isinstance(ticket.next(5), Token):
            pass
        [slot] = runtime.cells
        n = ticket.sequence.n_prompt
        held = [runtime.cells[slot][:n], runtime.prompts[slot][:n]]
        ticket.cancel(Cancelled("enough"))
        events(ticket)
    return held


def test_the_cells_are_the_same_whoever_computes_them() -> None:
    beside, alone = (Runtime(LONG_ANSWER, step_s=0.001) for _ in range(2))
    assert cells_after(StubPrefill(), beside) == cells_after(NoPrefill(), alone)
    assert (beside.n_computed, alone.n_computed > 200) == (0, True)


@pytest.mark.parametrize("where", ["computing", "taking"])
def test_what_cannot_be_computed_there_is_computed_here(where: str, caplog) -> None:
    class Broken(StubPrefill):
        def compute(self, prompt: list[Batch]) -> Cells:
            raise EngineError("OpenVINO could not compute this.")

    class Full(Runtime):
        def fill(self, slot: int, cells: Cells) -> None:
            raise EngineError("llama.cpp did not take it.")

    runtime = Runtime() if where == "computing" else Full()
    with engine(Broken() if where == "computing" else StubPrefill(), runtime) as one:
        assert isinstance(events(ask(one, LONG, PICTURE))[-1], Finished)
    assert runtime.n_computed > 200
    assert "computed by llama.cpp" in caplog.text


def test_a_question_that_is_cancelled_meanwhile_ends_at_once() -> None:
    runtime = StubRuntime()
    with engine(StubPrefill(seconds=30), runtime) as one:
        ticket = ask(one, LONG)
        assert isinstance(ticket.next(2), Started)
        time.sleep(0.05)  # it is in hand
        ticket.cancel(Cancelled("enough"))
        assert events(ticket)[-1] == Failed("cancelled", "enough")
        one._prefill.seconds = 0
        assert isinstance(events(ask(one, LONG))[-1], Finished)
        assert not runtime.cells


def test_a_running_answer_does_not_wait_for_anothers_prompt() -> None:
    with engine(StubPrefill(seconds=1.0), StubRuntime(step_s=0.001)) as one:
        slow = ask(one, LONG)
        begun = time.monotonic()
        assert isinstance(events(ask(one, "quick"))[-1], Finished)
        assert time.monotonic() - begun < 0.8
        assert isinstance(events(slow)[-1], Finished)


def test_waiting_for_a_prompt_takes_no_time_of_a_core() -> None:
    with engine(StubPrefill(seconds=0.5)) as one:
        ticket = ask(one, LONG)
        busy = time.process_time()
        events(ticket)
        assert time.process_time() - busy < 0.25


def test_answers_use_half_the_threads_meanwhile() -> None:
    used: set[tuple[int, int | None]] = set()

    class Counting(StubRuntime):
        def run(self, batch: Batch, n_threads: int | None = None) -> list[int]:
            assert isinstance(batch, TokenBatch)
            used.add((len(self.cells), n_threads))
            return super().run(batch, n_threads)

    runtime = Counting(LONG_ANSWER, n_cells=9000, step_s=0.002)
    runtime.n_threads = 4
    with engine(StubPrefill(seconds=0.3), runtime) as one:
        talker = ask(one, "talk", max_tokens=2000)
        while not isinstance(talker.next(5), Token):
            pass
        events(ask(one, LONG, max_tokens=1))
        talker.cancel(Cancelled("enough"))
    assert {(1, 4), (2, 2)} <= used


def test_an_engine_that_is_closed_ends_what_is_in_hand() -> None:
    with engine(StubPrefill(seconds=30)) as one:
        ticket = ask(one, LONG)
        assert isinstance(ticket.next(2), Started)
        time.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert isinstance(events(ticket)[-1], Failed)

"""The engine thread over stubs: each question ends once, and fails alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine import ticket
from edge.engine.engine import Engine
from edge.engine.step import PictureSpan, Sampled, Step
from edge.engine.ticket import Clock
from edge.errors import Cancelled, ContextLengthExceeded, EngineError, Unavailable
from edge.events import (
    Embedded,
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilling,
    Started,
    Token,
)
from edge.images import Picture
from edge.request import Message, Request, SamplingParams
from edge.structured.compiler import Compiler
from edge.structured.matcher import Constraint
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.engine.asking import Pause, ask, events

ANSWER = "A stub sees nothing and says 好."
PICTURE = Picture(64, 64, bytes(64 * 64 * 3))


@contextmanager
def engine(tower: StubTower | None = None, **options: object) -> Iterator[Engine]:
    with closing(Engine(StubRuntime(**options), tower or StubTower())) as one:
        yield one


def text_of(seen: list[Event]) -> str:
    return "".join(event.text for event in seen if isinstance(event, Token))


def await_text(asked: ticket.Ticket) -> None:
    """Until its first text, which follows events of progress."""
    while not isinstance(event := asked.next(60), Token):
        assert isinstance(event, Encoding | Embedded | Prefilling)


def test_an_answer_arrives_in_order_and_whole() -> None:
    with engine() as one:
        seen = events(ask(one, "hello", PICTURE))
    assert isinstance(seen[0], Started)
    assert Embedded(4) in seen
    assert text_of(seen) == ANSWER
    answer = seen[-1].answer
    assert (answer.text, answer.finish_reason) == (ANSWER, "stop")
    assert answer.usage.prompt_tokens == seen[0].prompt_tokens


def test_the_progress_of_pictures_and_prompt_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticket, "SHOW_S", 0.0)
    other = Picture(96, 64, bytes(96 * 64 * 3))
    with closing(Engine(StubRuntime(), StubTower(n_stages=3), chunk_tokens=8)) as one:
        seen = events(ask(one, "hello", PICTURE, other))
    n_prompt = seen[0].prompt_tokens
    assert seen[0] == Started(n_prompt, 4 + 6)
    assert [event for event in seen if isinstance(event, Encoding | Embedded)] == [
        Encoding(0, 2, 1, 3),
        Encoding(0, 2, 2, 3),
        Embedded(4),
        Encoding(1, 2, 1, 3),
        Encoding(1, 2, 2, 3),
        Embedded(6),
    ]
    prompt = [event for event in seen if isinstance(event, Prefilling)]
    assert prompt[0] == Prefilling(0, n_prompt)
    assert [event.n_done for event in prompt] == [*range(0, n_prompt, 8)]


def test_progress_is_shown_a_few_times_a_second() -> None:
    with engine(StubTower(seconds=1.0, n_stages=50)) as one:
        began = time.monotonic()
        seen = events(ask(one, "hello", PICTURE))
        took_s = time.monotonic() - began
    shown = [event.n_done for event in seen if isinstance(event, Encoding)]
    assert shown[0] == 1
    assert len(shown) <= 1 + took_s / ticket.SHOW_S and len(shown) < 49
    assert shown == sorted(shown)
    assert sum(isinstance(event, Prefilling) for event in seen) == 1


def test_a_character_of_several_tokens_arrives_as_one() -> None:
    with engine() as one:
        seen = events(ask(one))
    assert Token("好") in seen


def test_max_tokens_ends_an_answer() -> None:
    with engine() as one:
        answer = events(ask(one, max_tokens=6))[-1].answer
    assert (answer.text, answer.finish_reason) == ("A stub", "length")
    assert answer.usage.completion_tokens == 6


def test_an_answer_that_repeats_itself_is_ended() -> None:
    with engine(answer="again and " * 1000) as one:
        answer = events(ask(one, max_tokens=3000))[-1].answer
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens < 200


def test_a_stop_string_ends_an_answer_and_is_not_part_of_it() -> None:
    with engine() as one:
        seen = events(ask(one, stop=(" nothing",)))
    assert text_of(seen) == seen[-1].answer.text == "A stub sees"
    assert seen[-1].answer.stop == " nothing"
    assert seen[-1].answer.finish_reason == "stop"


def test_thoughts_end_where_the_model_ends_them() -> None:
    runtime = StubRuntime("Who knows?\n</think>\n\nIt is red.")
    with closing(
        Engine(runtime, StubTower(), chat_template="add_generation_prompt <think>")
    ) as one:
        seen = events(ask(one))
        budgeted = events(ask(one, thinking_budget=500))
    text = "<think>\nWho knows?\n</think>\n\nIt is red."
    assert text_of(seen) == text_of(budgeted) == seen[-1].answer.text == text
    usage = seen[-1].answer.usage
    assert usage.completion_tokens == len(text) - len("<think>\n") + 1
    assert usage.reasoning_tokens == len("Who knows?\n</think>")


def test_more_questions_than_slots_all_finish() -> None:
    with engine(n_slots=2) as one:
        tickets = [ask(one, f"question {i}", PICTURE) for i in range(12)]
        answers = [events(ticket)[-1].answer.text for ticket in tickets]
    assert answers == [ANSWER] * 12


def test_at_most_the_slots_compute_at_once() -> None:
    let_go = threading.Event()

    class Runtime(StubRuntime):
        most = 0

        def run(self, step: Step) -> list[Sampled]:
            assert let_go.wait(60)  # until all have asked
            self.most = max(self.most, len(self.cells))
            return super().run(step)

    runtime = Runtime(n_slots=3)
    with closing(Engine(runtime, StubTower())) as one:
        tickets = [ask(one) for _ in range(9)]
        let_go.set()
        assert all(isinstance(events(each)[-1], Finished) for each in tickets)
    assert runtime.most == 3


def test_equal_pictures_in_one_question_are_encoded_once() -> None:
    with engine() as one:
        seen = events(ask(one, "same?", PICTURE, PICTURE))
    assert seen.count(Embedded(4)) == 1
    assert isinstance(seen[-1], Finished)


@pytest.mark.parametrize("n_stages", [8, 1])
def test_a_running_answer_does_not_wait_for_anothers_picture(n_stages: int) -> None:
    let_go = threading.Event()
    n_open: list[int] = []

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            assert let_go.wait(60)
            found = super().embed(picture, *pause)
            n_open.append(one.n_open)
            return found

    with engine(Tower(seconds=1.0, n_stages=n_stages), step_s=0.001) as one:
        slow = ask(one, "slow", PICTURE)
        quick = ask(one, "quick", max_tokens=2)
        if n_stages > 1:  # else steps are computed beside the only stage
            let_go.set()
        assert isinstance(events(quick)[-1], Finished)
        let_go.set()
        assert isinstance(events(slow)[-1], Finished)
    assert n_open == [1]  # the quick answer had ended


class Watched(StubRuntime):
    """Remembers all steps."""

    def __init__(self, answer: str = LONG_ANSWER, **options: object) -> None:
        super().__init__(answer, **options)
        self.steps: list[Step] = []

    def run(self, step: Step) -> list[Sampled]:
        self.steps.append(step)
        return super().run(step)


class Cores:
    """Notices when steps and stages compute at the same time."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def used(self, by: str) -> Iterator[None]:
        assert self._lock.acquire(blocking=False), "two compute at once"
        self.log.append(by)
        yield
        self._lock.release()

    def engine(
        self, *, seconds: float = 0.0, n_stages: int = 20, step_s: float = 0.0
    ) -> Engine:
        used = self.used

        class Tower(StubTower):
            def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
                for stage in range(self.n_stages):
                    if stage:
                        pause[0]()
                    with used("stage"):
                        time.sleep(self.seconds / self.n_stages)
                return super().embed(picture, lambda: None)

        class Runtime(StubRuntime):
            def run(self, step: Step) -> list[Sampled]:
                has_picture = any(isinstance(s, PictureSpan) for s in step.spans)
                with used("picture" if has_picture else f"step {step.n_tokens}"):
                    return super().run(step)

        tower = Tower(seconds=seconds, n_stages=n_stages)
        runtime = Runtime(LONG_ANSWER, n_cells=60_000, step_s=step_s)
        return Engine(runtime, tower)


def grey(level: int) -> Picture:
    return Picture(64, 64, bytes([level]) * (64 * 64 * 3))


def test_steps_and_stages_never_compute_at_once_and_both_advance() -> None:
    cores = Cores()
    with closing(cores.engine(seconds=0.8, step_s=0.02)) as one:
        talker = ask(one, "talk", max_tokens=2000)
        while not isinstance(talker.next(60), Token):
            pass
        assert isinstance(events(ask(one, "slow", PICTURE, max_tokens=1))[-1], Finished)
        talker.cancel(Cancelled("enough"))
        assert isinstance(events(talker)[-1], Failed)
    first = cores.log.index("stage")
    last = len(cores.log) - 1 - cores.log[::-1].index("stage")
    during = cores.log[first:last]
    n_steps = during.count("step 1")
    # With 40 ms a stage and 20 ms a step, a step follows up to seven stages; fewer
    # where all takes longer, but not after each.
    assert 2 <= n_steps < 19
    assert len(during) == n_steps + 19


def test_a_question_without_a_new_picture_answers_while_one_is_encoded() -> None:
    cores = Cores()
    with closing(cores.engine(seconds=40, n_stages=200, step_s=0.002)) as one:
        known = ask(one, "known", max_tokens=1)
        assert isinstance(events(known)[-1], Finished)
        slow = ask(one, "slow", PICTURE, max_tokens=1)
        for _ in range(3):
            time.sleep(0.25)
            quick = ask(one, "quick", max_tokens=1)
            n_before = len(cores.log)
            assert isinstance(events(quick)[-1], Finished)
            behind = cores.log[n_before:]
            n_stages = next((n for n, each in enumerate(behind) if each != "stage"), 0)
            assert n_stages <= 1  # beside the present one, which is in the log before
        slow.cancel(Cancelled("enough"))
        assert isinstance(events(slow)[-1], Failed)


@settings(max_examples=40)
@given(
    asked=st.lists(
        st.tuples(st.sampled_from(range(4)), st.integers(1, 12), st.booleans()),
        min_size=1,
        max_size=10,
    ),
    waits=st.lists(st.integers(0, 3), min_size=10, max_size=10),
    closes=st.booleans(),
)
def test_no_order_of_questions_cancels_and_an_end_leaves_one_waiting(
    asked, waits, closes
) -> None:
    cores = Cores()
    with closing(cores.engine(seconds=0.004)) as one:
        tickets = []
        for (level, n, is_cancelled), wait in zip(asked, waits, strict=False):
            pictures = [grey(level)] if level else []
            tickets.append(ask(one, "hello", *pictures, max_tokens=n))
            time.sleep(wait / 1000)
            if is_cancelled:
                tickets[len(tickets) // 2].cancel(Cancelled("enough"))
        if closes:
            one.close()
        for ticket in tickets:
            assert isinstance(events(ticket)[-1], Finished | Failed)


def test_a_prompt_that_can_never_fit_is_refused_with_the_numbers() -> None:
    with engine(n_cells=100) as one, pytest.raises(ContextLengthExceeded) as refusal:
        ask(one, "x" * 90)
    assert "maximum context length is 100 tokens" in refusal.value.message


@pytest.mark.parametrize("when", ["embedding", "waiting", "decoding"])
def test_a_cancelled_question_ends_once_and_frees_its_slot(when: str) -> None:
    runtime = StubRuntime(answer=LONG_ANSWER, n_slots=1, n_cells=60_000, step_s=0.001)
    with closing(Engine(runtime, StubTower(seconds=0.3))) as one:
        if when == "waiting":
            first = ask(one, max_tokens=50_000)
            assert isinstance(first.next(60), Started)
        pictures = [PICTURE] if when == "embedding" else []
        ticket = ask(one, "hello", *pictures, max_tokens=50_000)
        assert isinstance(ticket.next(60), Started)
        if when == "decoding":
            await_text(ticket)
        ticket.cancel(Cancelled("enough"))
        ticket.cancel(Cancelled("twice"))
        assert events(ticket)[-1] == Failed("cancelled", "enough")
        if when == "waiting":
            first.cancel(Cancelled("enough"))
            events(first)
        assert isinstance(events(ask(one, max_tokens=5))[-1], Finished)
        assert runtime.cells == {}


def test_a_step_knows_whether_the_encoder_works_beside_it() -> None:
    runtime = Watched(n_cells=60_000, step_s=0.001)
    with closing(Engine(runtime, StubTower(seconds=0.7, n_stages=1))) as one:
        talker = ask(one, max_tokens=4000)
        assert isinstance(talker.next(60), Started)
        await_text(talker)
        assert isinstance(
            events(ask(one, "hello", PICTURE, max_tokens=1))[-1], Finished
        )
        talker.cancel(Cancelled("enough"))
        events(talker)
    beside = [step.beside_encoder for step in runtime.steps]
    assert not beside[0] and not beside[-1]
    assert any(beside)


def test_a_picture_is_computed_before_the_next_is_encoded() -> None:
    log: list[str] = []

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            log.append("encode")
            return super().embed(picture, *pause)

    class Runtime(StubRuntime):
        def run(self, step: Step) -> list[Sampled]:
            if any(isinstance(span, PictureSpan) for span in step.spans):
                log.append("compute")
            return super().run(step)

    with closing(Engine(Runtime(step_s=0.02), Tower(seconds=0.02))) as one:
        tickets = [ask(one, "hello", grey(level)) for level in range(4)]
        assert all(isinstance(events(t)[-1], Finished) for t in tickets)
    assert log == ["encode", "compute"] * 4


def test_an_abandoned_picture_delays_no_other() -> None:
    begun, widths = threading.Event(), list[int]()

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            begun.set()
            found = super().embed(picture, *pause)
            widths.append(picture.width)
            return found

    other = Picture(32, 32, bytes(32 * 32 * 3))
    tower = Tower(seconds=30, n_stages=1000)
    with engine(tower) as one:
        ticket = ask(one, "hello", PICTURE)
        assert isinstance(ticket.next(60), Started)
        assert begun.wait(60)
        ticket.cancel(Cancelled("enough"))
        assert events(ticket)[-1] == Failed("cancelled", "enough")
        tower.seconds = 0
        assert isinstance(events(ask(one, "hello", other))[-1], Finished)
    assert widths == [other.width]  # of the abandoned one only a part was encoded


def test_a_failing_step_ends_only_the_questions_in_it() -> None:
    def poisoned() -> None:
        raise EngineError("The stub was poisoned.")

    with engine(faults={"POISON": poisoned}, step_s=0.001, n_slots=2) as one:
        bad = ask(one, "POISON")
        assert events(bad)[-1] == Failed("engine_error", "The stub was poisoned.")
        assert isinstance(events(ask(one, "good"))[-1], Finished)


SCHEMA = (
    '{"type":"object","properties":{"a":{"type":"string","maxLength":5}},'
    '"required":["a"],"additionalProperties":false}'
)


def test_an_answer_that_breaks_its_schema_fails_alone(monkeypatch) -> None:
    def break_down(constraint: Constraint, token: int) -> None:
        raise EngineError("It costs too much.")

    with engine(answer=LONG_ANSWER, step_s=0.001, n_slots=2) as one:
        free = ask(one, max_tokens=150)
        monkeypatch.setattr(Constraint, "accept", break_down)
        held = ask(one, grammar=SCHEMA, max_tokens=150)
        assert events(held)[-1] == Failed("engine_error", "It costs too much.")
        assert isinstance(events(free)[-1], Finished)
        monkeypatch.undo()
        again = events(ask(one, grammar=SCHEMA, max_tokens=150))
    assert isinstance(json.loads(text_of(again))["a"], str)


def test_no_schema_is_compiled_on_the_engine_thread(monkeypatch) -> None:
    threads = []
    compiled = Compiler.constraint

    def constraint(compiler: Compiler, schema: str) -> Constraint:
        threads.append(threading.current_thread().name)
        return compiled(compiler, schema)

    monkeypatch.setattr(Compiler, "constraint", constraint)
    with engine() as one:
        assert isinstance(events(ask(one, grammar=SCHEMA))[-1], Finished)
    assert threads == [threading.current_thread().name]


def test_a_picture_that_cannot_be_encoded_ends_only_its_question() -> None:
    class BrokenTower(StubTower):
        def embed(self, picture: Picture, *pause: Pause):
            if picture.width == 33:
                raise ValueError("secret detail")
            return super().embed(picture, *pause)

    with engine(BrokenTower()) as one:
        odd = Picture(33, 33, bytes(33 * 33 * 3))
        failed = events(ask(one, "odd", odd))[-1]
        assert failed.code == "engine_error"
        assert "secret" not in failed.message
        assert isinstance(events(ask(one, "even", PICTURE))[-1], Finished)


def test_a_passing_fault_of_the_encoder_ends_one_question() -> None:
    class Tower(StubTower):
        n_left = 1

        def embed(self, picture: Picture, *pause: Pause):
            time.sleep(0.05)  # both questions wait by then
            if self.n_left:
                self.n_left -= 1
                raise ValueError("only once")
            return super().embed(picture, *pause)

    with engine(Tower()) as one:
        first, second = [ask(one, text, PICTURE) for text in ("one", "two")]
        assert isinstance(events(first)[-1], Failed)
        assert isinstance(events(second)[-1], Finished)


def test_tokens_after_the_end_of_an_answer_are_dropped() -> None:
    class Eager(StubRuntime):
        def run(self, step: Step) -> list[Sampled]:
            return [
                Sampled(each.slot, (*each.tokens, *each.tokens))
                for each in super().run(step)
            ]

    with closing(Engine(Eager(), StubTower())) as one:
        assert events(ask(one, max_tokens=1))[-1].answer.usage.completion_tokens == 1
        assert one.is_alive


def test_closing_ends_open_questions_and_refuses_new_ones() -> None:
    one = Engine(StubRuntime(answer=LONG_ANSWER, step_s=0.01), StubTower())
    tickets = [ask(one, max_tokens=3000) for _ in range(6)]
    one.close()
    assert {events(ticket)[-1].code for ticket in tickets} == {"cancelled"}
    assert not one.is_alive
    with pytest.raises(Unavailable):
        ask(one)


def n_wakes(one: Engine) -> int:
    """How often its two threads have waited for something so far."""
    threads = (one._thread.native_id, one.encoder._thread.native_id)
    return sum(psutil.Process(n).num_ctx_switches().voluntary for n in threads)


def test_an_idle_engine_uses_no_processor() -> None:
    def is_at_rest() -> bool:
        before = n_wakes(one)
        time.sleep(0.1)
        return n_wakes(one) == before

    with engine() as one:
        events(ask(one, "hello", PICTURE))
        wait_for(is_at_rest)
        before = n_wakes(one)
        time.sleep(0.5)
        assert n_wakes(one) <= before + 1


def test_the_load_is_that_of_rest_after_a_cancel_in_the_last_step() -> None:
    asked: list[ticket.Ticket] = []

    class Left(Watched):
        def run(self, step: Step) -> list[Sampled]:
            if len(self.steps) == 3:
                asked[0].cancel(Cancelled("enough"))
            return super().run(step)

    with closing(Engine(Left(), StubTower())) as one:
        asked.append(ask(one, max_tokens=50))
        assert events(asked[0])[-1] == Failed("cancelled", "enough")
        wait_for(lambda: one.load.n_busy_slots == 0)
        assert one.load.n_steps == 4


def test_many_threads_may_ask_at_once() -> None:
    with engine() as one:
        answers: list[str] = []

        def client() -> None:
            for _ in range(5):
                answers.append(events(ask(one, "hi", PICTURE))[-1].answer.text)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [ANSWER] * 40


class Treacherous(StubRuntime):
    def piece(self, token: int) -> bytes:
        if threading.current_thread().name == "engine":
            raise EngineError("not in a step: this is a bug")
        return super().piece(token)


def test_a_bug_in_the_engine_thread_ends_all_questions() -> None:
    one = Engine(Treacherous(), StubTower())
    assert events(ask(one))[-1].code == "engine_error"
    one._thread.join(60)
    assert not one.is_alive


def test_an_engine_that_dies_between_two_stages_can_be_closed() -> None:
    one = Engine(Treacherous(), StubTower(seconds=200, n_stages=1000))
    slow = ask(one, "slow", PICTURE)
    assert events(ask(one))[-1].code == "engine_error"
    assert events(slow)[-1].code == "engine_error"
    closing_thread = threading.Thread(target=one.close)
    closing_thread.start()
    closing_thread.join(60)
    assert not closing_thread.is_alive()


def test_a_stage_that_steps_wait_for_counts_as_silence() -> None:
    let_go = threading.Event()

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            assert let_go.wait(60)
            return super().embed(picture, *pause)

    with engine(Tower(n_stages=2)) as one:
        watch = one.watch
        wait_for(lambda: watch.silent_s == 0)
        slow = ask(one, "slow", PICTURE, max_tokens=1)
        wait_for(lambda: one.encoder.watch.silent_s > 0.2)
        longest, before = watch.longest_s, watch.silent_s
        assert before > 0.2
        assert ask(one, max_tokens=1)
        time.sleep(0.1)
        assert watch.silent_s > before  # a message does not hide it
        assert watch.longest_s == longest  # it has not ended
        let_go.set()
        assert isinstance(events(slow)[-1], Finished)
        assert watch.longest_s > before
        wait_for(lambda: watch.silent_s == 0)


def test_the_stages_before_the_first_token_add_up() -> None:
    clock = Clock(10.0)
    clock.end("prepare", 10.1)
    clock.end("embed", 12.0)
    clock.end("queue", 12.5)
    clock.end("prefill", 14.0)
    times = clock.timings(now=16.0, n_generated=5)
    stages = (times.prepare_ms, times.embed_ms, times.queue_ms, times.prefill_ms)
    assert stages == pytest.approx((100, 1900, 500, 1500))
    assert sum(stages) == pytest.approx(times.ttft_ms)
    assert (times.tpot_ms, times.e2e_ms) == pytest.approx((500, 6000))
    with engine() as one:
        real = events(ask(one, "hello", PICTURE))[-1].answer.timings
    assert min(ms for name, ms in vars(real).items() if name.endswith("_ms")) > 0


# --- what was prepared before --------------------------------------------------------


def question(text: str = "hello", **sampling: object) -> Request:
    return Request((Message("user", (text,)),), SamplingParams(**sampling))


class Counting(StubRuntime):
    """Counts what is prepared."""

    n_tokenized = 0

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        self.n_tokenized += not special
        return super().tokenize(text, special=special)


def test_a_checked_question_is_not_prepared_again(monkeypatch) -> None:
    compiled = []
    constraint = Compiler.constraint

    def counted(compiler: Compiler, schema: str) -> Constraint:
        compiled.append(schema)
        return constraint(compiler, schema)

    monkeypatch.setattr(Compiler, "constraint", counted)
    runtime = Counting()
    with closing(Engine(runtime, StubTower())) as one:
        request = question(grammar=SCHEMA)
        prepared = one.check(request)
        assert prepared.n_prompt > 5
        assert prepared.n_image == 0
        equal = Request.from_json(request.to_json())
        ticket = one.submit(equal, {}, prepared=prepared)
        text = text_of(events(ticket))
    assert isinstance(json.loads(text)["a"], str)
    assert runtime.n_tokenized == len(compiled) == 1


def test_a_prepared_sequence_is_used_once_for_an_equal_request() -> None:
    runtime = Counting()
    with closing(Engine(runtime, StubTower())) as one:
        prepared = one.check(question())
        other = one.submit(question("another"), {}, prepared=prepared)
        assert runtime.n_tokenized == 2
        tickets = [one.submit(question(), {}, prepared=prepared) for _ in range(3)]
        assert runtime.n_tokenized == 4  # one of three had it ready
        answers = [events(ticket)[-1].answer for ticket in (other, *tickets)]
        assert [answer.text for answer in answers] == [ANSWER] * 4


def test_a_prepared_question_gets_its_pictures_when_it_is_submitted() -> None:
    content = (PICTURE.ref, "what?")
    request = Request((Message("user", content),), SamplingParams())
    with engine() as one:
        prepared = one.check(request)
        assert prepared.n_image == 4
        pictures = {PICTURE.ref.sha256: PICTURE}
        seen = events(one.submit(request, pictures, prepared=prepared))
    assert Embedded(4) in seen
    assert text_of(seen) == ANSWER

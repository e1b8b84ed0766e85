"""Job durations and start times: arithmetic, without Redis or clock."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.jobs.estimate import AT_LEAST_LEFT, USUAL, Pace, Running, Size, start_times
from edge.request import Answer
from edge.usage import Timings, Usage

quick = settings(max_examples=100)
seconds = st.floats(0, 1000)
tokens = st.integers(0, 4000)
some_size = st.builds(Size, tokens, tokens, tokens)
sizes = st.none() | some_size
paces = st.builds(
    Pace,
    n_jobs=tokens,
    image_s=st.floats(0, 0.1),
    prompt_s=st.floats(0, 0.1),
    answer_s=st.floats(0, 1),
    other_s=st.floats(0, 10),
    answer_tokens=st.floats(0, 1000),
    job_s=st.floats(0, 300),
)
runs = st.lists(st.builds(Running, sizes, seconds), max_size=6)
queues = st.lists(sizes, max_size=20)
slots = st.integers(1, 6)


def answer(
    n_prompt: int = 500,
    n_answer: int = 50,
    *,
    embed_s: float = 4.0,
    prefill_s: float = 2.5,
    tpot_s: float = 0.2,
    finish_reason: str = "stop",
) -> Answer:
    times = Timings(
        embed_ms=1000 * embed_s, prefill_ms=1000 * prefill_s, tpot_ms=1000 * tpot_s
    )
    return Answer("text", finish_reason, Usage(n_prompt, n_answer), times)


def chat(encode_tokens: float) -> Size:
    return Size(500, encode_tokens, 512)


def trained(n: int, encode_tokens: float, one: Answer, duration_s: float) -> Pace:
    pace = Pace()
    for _ in range(n):
        pace = pace.updated(chat(encode_tokens), one, duration_s)
    return pace


# --- learning ---------------------------------------------------------------------


def test_a_small_question_gives_a_first_guess_that_the_first_job_replaces() -> None:
    small = answer(70, 2, embed_s=0.16, prefill_s=0.07, tpot_s=0.02)
    guess = Pace.guess(Size(70, 64, 2), small)
    asked = Size(300, 256, 512)
    # each image token 2.5 ms, each of the prompt 1 ms, and an answer of usual length
    assert guess.seconds(asked) == pytest.approx(0.64 + 0.3 + 64 * 0.02)
    assert guess.job_s == guess.seconds(USUAL)
    first = Pace().updated(chat(400), answer(), 17.0)
    assert guess.updated(chat(400), answer(), 17.0) == first


@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_time_of_equal_jobs_is_learned(n: int) -> None:
    pace = trained(n, 400, answer(), duration_s=17.0)
    assert pace.seconds(Size(500, 400, 512)) == pytest.approx(17.0, rel=0.03)
    assert pace.seconds(None) == pytest.approx(17.0, rel=0.03)
    assert pace.n_jobs == n


def test_other_sizes_follow_from_the_parts() -> None:
    pace = trained(20, 400, answer(), duration_s=17.0)  # 4 + 2.5 + 10, and 0.5 beside
    without_picture = Size(500, 0, 512)
    assert pace.seconds(without_picture) == pytest.approx(13.0, rel=0.03)
    short = Size(500, 400, 10)
    assert pace.seconds(short) == pytest.approx(9.0, rel=0.03)
    twice = Size(1000, 800, 512)
    assert pace.seconds(twice) == pytest.approx(17.0 + 6.5, rel=0.03)


def test_a_machine_that_became_slower_is_noticed_within_a_few_dozen_jobs() -> None:
    pace = trained(20, 400, answer(), duration_s=17.0)
    slow = answer(embed_s=8.0, prefill_s=5.0, tpot_s=0.4)
    for _ in range(30):
        pace = pace.updated(chat(400), slow, 34.0)
    assert pace.seconds(Size(500, 400, 512)) == pytest.approx(34.0, rel=0.05)
    assert pace.seconds(None) == pytest.approx(34.0, rel=0.05)


def test_one_outlier_does_not_dominate_the_pace() -> None:
    pace = trained(20, 400, answer(), duration_s=17.0)
    odd = pace.updated(chat(400), answer(), 170.0)
    assert odd.job_s < 3 * pace.job_s


def test_a_job_without_a_picture_teaches_nothing_about_pictures() -> None:
    pace = trained(5, 400, answer(), duration_s=17.0)
    again = pace.updated(chat(0), answer(embed_s=0.0), 13.0)
    assert again.image_s == pace.image_s


def test_one_token_teaches_nothing_about_the_next() -> None:
    pace = trained(5, 400, answer(), duration_s=17.0)
    again = pace.updated(chat(400), answer(n_answer=1, tpot_s=0.0), 7.0)
    assert again.answer_s == pace.answer_s


def test_an_answer_that_was_cut_off_does_not_make_answers_shorter() -> None:
    pace = trained(5, 400, answer(), duration_s=17.0)
    cut = pace.updated(chat(400), answer(n_answer=5, finish_reason="length"), 8.0)
    assert cut.answer_tokens == pace.answer_tokens
    long = pace.updated(chat(400), answer(n_answer=200, finish_reason="length"), 47.0)
    assert long.answer_tokens == 200


@quick
@given(paces, some_size, st.builds(answer, tokens, tokens), seconds)
def test_a_learned_pace_is_never_negative(
    pace: Pace, size: Size, one: Answer, duration_s: float
) -> None:
    after = pace.updated(size, one, duration_s)
    assert min(vars(after).values()) >= 0
    assert after.n_jobs + after.n_compared == pace.n_jobs + pace.n_compared + 1


def test_the_time_of_comparing_is_learned_beside_that_of_answers() -> None:
    """Of texts and pictures, from three times as long as one prompt would take."""
    answers = trained(20, 400, answer(), duration_s=17.0)
    pace = answers
    for n_prompt, n_encode in ((2000, 0), (3000, 1500), (500, 200)):
        size = Size(n_prompt, n_encode, 0)
        pace = pace.updated(size, Answer("", "stop"), 3 * answers.seconds(size))
    for size in (Size(4000, 0, 0), Size(4000, 3000, 0)):
        assert pace.seconds(size) == pytest.approx(3 * answers.seconds(size))
    assert pace.seconds(chat(400)) == answers.seconds(chat(400))
    assert pace.job_s != answers.job_s  # waiting jobs of unknown size may be like it
    busy, idle = ([Running(Size(4000, 0, 0), 0.0)], [])
    [start_s] = start_times(busy, [chat(400)], 1, pace)
    assert start_s == pytest.approx(3 * answers.seconds(Size(4000, 0, 0)))
    assert start_times(idle, [chat(400)], 1, pace) == [0.0]


def test_what_a_newer_version_wrote_is_read() -> None:
    assert Pace.read(json.dumps(vars(Pace(job_s=7.0)) | {"more": 1})) == Pace(job_s=7.0)


@quick
@given(paces)
def test_a_pace_survives_json(pace: Pace) -> None:
    assert Pace.read(pace.to_json()) == pace
    assert Pace.read(pace.to_json().encode()) == pace


@pytest.mark.parametrize("stored", [None, "", b""])
def test_an_unwritten_pace_is_the_default(stored: str | bytes | None) -> None:
    assert Pace.read(stored) == Pace()
    assert json.loads(Pace().to_json())["n_jobs"] == 0


# --- starts -----------------------------------------------------------------------


def test_equal_jobs_start_in_rounds() -> None:
    pace = Pace(job_s=10.0)
    running = [Running(None, 4.0), Running(None, 8.0)]
    assert start_times(running, [None] * 5, 2, pace) == [2.0, 6.0, 12.0, 16.0, 22.0]


def test_a_job_that_outlives_its_estimate_is_not_over_yet() -> None:
    pace = Pace(job_s=10.0)
    assert start_times([Running(None, 60.0)], [None], 1, pace) == [10.0 * AT_LEAST_LEFT]


def test_a_small_job_frees_its_slot_sooner() -> None:
    pace = Pace(answer_s=1.0, prompt_s=0.0, image_s=0.0, answer_tokens=100.0)
    waiting = [Size(0, 0, 3), Size(0, 0, 50), Size(0, 0, 1)]
    assert start_times([], waiting, 1, pace) == [0.0, 3.0, 53.0]


def test_more_runs_than_slots_start_when_enough_have_ended() -> None:
    """A worker of two has left: only two of the four that run can be replaced."""
    pace = Pace(job_s=10.0)
    running = [Running(None, elapsed_s) for elapsed_s in (8.0, 6.0, 4.0, 2.0)]
    assert start_times(running, [None], 2, pace) == [6.0]


def test_without_slots_there_is_no_estimate() -> None:
    assert start_times([], [None], 0, Pace()) == []
    assert start_times([], [], 4, Pace()) == []


@quick
@given(runs, queues, slots, paces)
def test_starts_come_in_the_order_of_the_queue_and_not_before_now(
    running: list, waiting: list, n_slots: int, pace: Pace
) -> None:
    starts_s = start_times(running, waiting, n_slots, pace)
    assert len(starts_s) == len(waiting)
    assert starts_s == sorted(starts_s)
    assert all(at >= 0 for at in starts_s)


@quick
@given(runs, queues, slots, paces)
def test_a_job_with_a_free_slot_starts_now(
    running: list, waiting: list, n_slots: int, pace: Pace
) -> None:
    n_free = max(0, n_slots - len(running))
    starts_s = start_times(running, waiting, n_slots, pace)
    assert starts_s[:n_free] == [0.0] * min(n_free, len(waiting))


@quick
@given(runs, queues, sizes, slots, paces)
def test_the_last_job_delays_no_other_and_starts_last(
    running: list, waiting: list, last: Size | None, n_slots: int, pace: Pace
) -> None:
    before = start_times(running, waiting, n_slots, pace)
    after = start_times(running, [*waiting, last], n_slots, pace)
    assert after[:-1] == before
    assert after[-1] >= max(before, default=0.0)


@quick
@given(runs, queues, slots, paces)
def test_one_more_slot_delays_no_job(
    running: list, waiting: list, n_slots: int, pace: Pace
) -> None:
    few = start_times(running, waiting, n_slots, pace)
    many = start_times(running, waiting, n_slots + 1, pace)
    assert all(b <= a + 1e-9 for a, b in zip(few, many, strict=True))


@quick
@given(paces, sizes)
def test_a_longer_answer_takes_no_less(pace: Pace, size: Size | None) -> None:
    if size is not None:
        longer = replace(size, max_tokens=size.max_tokens + 100)
        assert pace.seconds(longer) >= pace.seconds(size) >= 0

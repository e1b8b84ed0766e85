"""The choice for measured times: of three kinds of machines, and its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.openvino.kernels import Kernels
from edge.serving.choice import (
    Choice,
    Measured,
    choose_language,
    choose_vision,
    merge,
    question_ms,
)
from edge.serving.variants import Variant
from tests.serving.tuned import language, vision

F32, BF16 = Kernels("f32", 32), Kernels("bf16", 128)
PLAIN = Kernels("f32", 0)


def any_two(few: Variant, many: Variant) -> bool:
    return bool(few.kernels and many.kernels)


def no_two(few: Variant, many: Variant) -> bool:
    return False


# --- the machines -------------------------------------------------------------------


def test_an_amx_xeon_gets_two_graphs() -> None:
    """Milliseconds of the 28 layers' matrices on a Granite Rapids, two threads."""
    rows = (1, 2, 4, 8, 32, 128, 512)
    f32 = replace(
        language(F32, [0] * 5),
        ms=tuple(zip(rows, (108, 113, 129, 141, 255, 848, 3123), strict=True)),
    )
    bf16 = replace(
        language(BF16, [0] * 5),
        ms=tuple(zip(rows, (167, 174, 212, 272, 324, 557, 1819), strict=True)),
    )
    few, many, many_rows = choose_language([bf16, f32], any_two)
    assert (few, many) == (f32, bf16)
    assert 24 <= many_rows <= 64  # the lines cross at about 50 rows
    assert question_ms(few, many) < 0.85 * question_ms(f32)


def test_zen_5_gets_one_graph() -> None:
    """Measured with two threads; hints and groups are within a few percent."""
    bf16 = language(BF16, [35, 50, 68, 160, 590])
    f32 = language(replace(BF16, hint="f32"), [34, 49, 70, 167, 660])
    llama = language(None, [43, 103, 137, 266, 905], kv="f16")
    assert choose_language([bf16, f32, llama], any_two) == (bf16, None, 1)


def test_without_int8_instructions_whatever_is_faster_is_chosen() -> None:
    """A Zen 3: OpenVINO multiplies in f32, llama.cpp as integers."""
    ours = language(PLAIN, [345, 380, 1050, 4200, 16_700])
    llama = language(None, [137, 400, 900, 2600, 9500], kv="f16")
    assert choose_language([ours, llama], any_two) == (llama, None, 1)
    assert choose_language([llama, ours], any_two) == (llama, None, 1)


# --- the rules ----------------------------------------------------------------------


def test_a_difference_within_noise_changes_nothing() -> None:
    first = language(BF16, [40, 50, 60, 150, 500])
    second = language(F32, [39, 49, 59, 147, 490])
    assert choose_language([first, second], any_two)[0] == first
    assert choose_language([second, first], any_two)[0] == second


def test_two_graphs_have_to_be_allowed_and_worth_it() -> None:
    few = language(F32, [40, 50, 100, 400, 2000])
    many = language(BF16, [80, 100, 120, 200, 500])
    assert choose_language([few, many], any_two) == (few, many, 24)
    assert choose_language([few, many], no_two) == (many, None, 1)
    # llama.cpp and OpenVINO share no cache
    assert choose_language([few, replace(many, variant=_llama())], any_two)[1] is None
    alike = language(BF16, [80, 100, 120, 200, 1900])
    assert choose_language([few, alike], any_two) == (few, None, 1)


def _llama() -> Variant:
    return language(None, [1] * 5).variant


def test_the_steps_of_two_graphs_cost_what_each_measured() -> None:
    few = language(F32, [40, 50, 100, 400, 2000])
    many = language(BF16, [80, 100, 120, 200, 500])
    choice = Choice(few, vision(BF16, [300, 1700]), many, 24)
    assert choice.step_ms == {1: 40, 4: 50, 16: 100, 64: 200, 256: 500}


def test_the_fastest_encoder_is_chosen() -> None:
    first, second = vision(BF16, [300, 1700]), vision(F32, [250, 1500])
    assert choose_vision([first, second]) == second
    assert choose_vision([first, vision(F32, [100, 1690])]) == first


def test_a_question_is_its_prompt_and_its_steps() -> None:
    one = language(BF16, [100, 200, 300, 400, 2560])
    assert question_ms(one) == pytest.approx(4750 + 64 * (100 + 50) / 2)
    many = language(BF16, [1, 1, 1, 1, 256])
    assert question_ms(one, many) == pytest.approx(475 + 64 * (100 + 50) / 2)


def test_sizes_between_are_interpolated_and_above_in_proportion() -> None:
    one = language(BF16, [40, 70, 100, 200, 800])
    assert [one.ms_at(n) for n in (1, 2, 4, 10, 256, 512)] == [
        40,
        50,
        70,
        85,
        800,
        1600,
    ]


def test_the_least_times_of_two_trials_count() -> None:
    one = language(BF16, [40, 70, 100, 200, 800])
    other = language(BF16, [50, 60, 100, 190, 900])
    assert merge(one, other) == language(BF16, [40, 60, 100, 190, 800])
    crashed = language(BF16, [1] * 5, problem="crashed with SIGSEGV")
    assert merge(one, crashed) == merge(crashed, one) == crashed


def test_a_single_variant_without_times_is_chosen() -> None:
    default = Measured(language(BF16, [1] * 5).variant)
    assert choose_language([default], any_two) == (default, None, 1)

"""Two measured pictures and the steps predict the time of any picture."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.openvino.kernels import Kernels
from edge.serving.choice import Choice
from edge.serving.forecast import first_text_s, forecast, picture_ms
from tests.serving.tuned import language, vision

KERNELS = Kernels("bf16", 128)


def encoder_ms(n_tokens: int) -> float:
    """4 ms a token and 2 us for each two that look at each other."""
    return 4 * n_tokens + 2e-3 * n_tokens**2


@pytest.fixture
def choice() -> Choice:
    """Prompts of 10 ms and answers of 50 ms a token."""
    encoder = vision(KERNELS, [0, 0])
    pictures = tuple((n, encoder_ms(n)) for n in (250, 1000))
    return Choice(
        language(KERNELS, [50, 60, 80, 640, 2560]), replace(encoder, ms=pictures)
    )


@pytest.mark.parametrize("n_tokens", [64, 250, 475, 1000, 4096])
def test_two_pictures_predict_the_time_of_any(choice: Choice, n_tokens: int) -> None:
    seconds = (encoder_ms(n_tokens) + 10 * (n_tokens + 32)) / 1000
    assert first_text_s(choice, n_tokens) == pytest.approx(seconds)


def test_a_model_with_one_size_of_pictures_has_a_forecast_too(choice: Choice) -> None:
    assert picture_ms(replace(choice.vision, ms=((64, 640.0),)), 64) == 640


def test_noise_never_makes_a_larger_picture_faster(choice: Choice) -> None:
    odd = replace(choice.vision, ms=((250, 2000.0), (1000, 4000.0)))
    assert picture_ms(odd, 4000) > picture_ms(odd, 1000) > picture_ms(odd, 250) > 0


def test_the_second_graph_computes_prompts(choice: Choice) -> None:
    many = language(KERNELS, [90, 90, 90, 90, 256])
    assert first_text_s(replace(choice, many=many), 68) == pytest.approx(
        (encoder_ms(68) + 100) / 1000
    )


def test_a_forecast_names_each_detail(choice: Choice) -> None:
    assert forecast(choice, 2048) == (
        "First words about a large picture after 4.0 s (low, 256 tokens) or 17 s "
        "(auto, 1024 tokens) or 37 s (high, 2048 tokens), then 20 tokens a second."
    )
    assert "after 4.0 s (low, 256 tokens) or 17 s (auto and" in forecast(choice, 1024)
    assert "after 1.2 s (low and auto and high, 64 tokens)," in forecast(choice, 64)

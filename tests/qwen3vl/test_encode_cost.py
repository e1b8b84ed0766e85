"""The weight of image tokens, against what was measured."""

from __future__ import annotations

import pytest

from edge.qwen3vl.encode_cost import encode_tokens

# CPU seconds of the vision encoder: the shapes of the 2B model, OpenVINO, Zen 5
MEASURED_S = {256: 1.648, 475: 3.603, 768: 6.931, 1024: 10.722, 1536: 21.586}


@pytest.mark.parametrize("n_tokens", MEASURED_S)
def test_the_seconds_of_any_size_follow_from_those_of_another(n_tokens: int) -> None:
    second = MEASURED_S[475] / encode_tokens(475)
    assert second * encode_tokens(n_tokens) == pytest.approx(
        MEASURED_S[n_tokens], rel=0.05
    )

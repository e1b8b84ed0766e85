"""What `edge up` checks before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import host
from edge.errors import SetupError
from edge.models.check import check
from edge.models.registry import ModelFiles
from edge.settings import Settings
from edge.stack import RESERVE_BYTES


def test_a_machine_that_is_too_small_is_told_the_sum(
    tiny: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: RESERVE_BYTES)
    with pytest.raises(SetupError) as refusal:
        check(ModelFiles("tiny", *tiny), Settings(), reserve_bytes=RESERVE_BYTES)
    assert "more memory" in refusal.value.message
    assert "EDGE_CONTEXT_TOKENS" in refusal.value.message


def test_the_tiny_model_fits_this_machine(tiny: tuple[Path, Path]) -> None:
    files = ModelFiles("tiny", *tiny)
    # Its files say for which sizes of pictures it was trained.
    assert check(files, Settings(), reserve_bytes=RESERVE_BYTES) == (16, 64)


def test_the_operator_may_allow_smaller_pictures_only(tiny: tuple[Path, Path]) -> None:
    assert check(ModelFiles("tiny", *tiny), Settings(image_tokens=32)) == (16, 32)
    assert check(ModelFiles("tiny", *tiny), Settings(image_tokens=2048)) == (16, 64)

"""Settings of the command line beside those of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli.options import settings_for, settings_with

EYES = Path("/models/eyes.gguf")


@pytest.mark.parametrize(
    ("models", "mmproj", "environ", "is_said"),
    [
        (["tiny"], EYES, {}, True),
        (None, EYES, {}, True),  # beside `auto`
        (None, None, {"EDGE_MMPROJ": str(EYES)}, True),
        (["/models/words.gguf"], EYES, {}, False),
        (["tiny", "/models/words.gguf"], EYES, {}, False),
        # what the settings name needs it
        (["tiny"], None, {"EDGE_MMPROJ": str(EYES), "EDGE_MODEL": "/a.gguf"}, False),
        (["tiny"], None, {}, False),
    ],
)
def test_a_vision_file_that_changes_nothing_is_said(
    models: list[str] | None,
    mmproj: Path | None,
    environ: dict[str, str],
    is_said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("EDGE_MODEL", "EDGE_MODELS", "EDGE_MMPROJ"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings_for(models, mmproj)
    if not models or len(models) == 1:
        settings_with(models[0] if models else None, mmproj)
    said = capsys.readouterr().err
    assert ("--mmproj (EDGE_MMPROJ) changes nothing" in said) == is_said

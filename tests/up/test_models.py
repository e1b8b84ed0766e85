"""Which models `edge up` starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.models.registry import tiny_files
from edge.settings import Settings
from edge.up.models import plan_models


@pytest.mark.parametrize("other", ["auto", "PATH"])
def test_a_model_under_two_names_is_refused(tmp_path: Path, other: str) -> None:
    """`auto` is `tiny` where nothing can be downloaded."""
    settings = Settings(
        data_dir=tmp_path,
        models=f"tiny,{other}".replace("PATH", str(tiny_files().model)),
        mmproj=str(tiny_files().mmproj),
        hub_url="",
        mirror_url="",
    )
    with pytest.raises(SetupError, match="Two of the models are tiny"):
        plan_models(settings, print)

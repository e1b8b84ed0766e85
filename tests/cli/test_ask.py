"""`edge ask` starts with what loads fastest."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from edge.cli import ask
from edge.cli.app import app
from edge.errors import SetupError
from edge.models.registry import tiny_files
from edge.serving.plan import Plan
from edge.settings import Settings
from tests.serving.tuned import keep_tuning


@pytest.mark.parametrize(
    ("said", "runtime"), [({}, "llama"), ({"EDGE_RUNTIME": "openvino"}, "openvino")]
)
def test_a_tuned_machine_still_asks_with_llama_cpp_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], runtime: str
) -> None:
    settings, files = Settings(data_dir=tmp_path), tiny_files()
    keep_tuning(settings, files, runtime="openvino", chunk_tokens=64)
    plans: list[Plan] = []

    def build(plan: Plan) -> None:
        plans.append(plan)
        raise SetupError("This is as far as the test goes.")

    monkeypatch.setattr(ask, "build_engine", build)
    picture = tmp_path / "grey.png"
    Image.new("RGB", (64, 64)).save(picture)
    words = ["ask", str(picture), "What is this?", "--model", "tiny"]
    environ = {"EDGE_DATA_DIR": str(tmp_path)} | said
    result = CliRunner().invoke(app, words, env=environ)
    assert result.exit_code == 1
    assert "as far as the test goes" in result.stderr
    [plan] = plans
    assert (plan.runtime, plan.settings.chunk_tokens) == (runtime, 64)
    assert plan.settings.slots == 1

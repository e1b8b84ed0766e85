"""Without llama.cpp OpenVINO serves; with it, it is imported only where it serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import llguidance
import pytest
from PIL import Image, ImageDraw

from edge import host
from edge.errors import SetupError
from edge.models.registry import ModelFiles, tiny_files
from edge.openvino.kernels import EXACT, Kernels
from edge.serving import build, installed
from edge.serving.build import build_runtime, build_tower
from edge.serving.plan import make_plan
from edge.serving.tune import measure_variants
from edge.serving.variants import language_variants, vision_variants
from edge.settings import Settings
from tests.serving.tuned import keep_tuning, language, vision

FEATURES = [("avx2",), ("avx2", "avx512_vnni")]
ROOT = Path(__file__).parents[2]
EDGE = "from edge.cli.app import app; app()"


@pytest.fixture
def files() -> ModelFiles:
    return tiny_files()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, threads=1)


@pytest.fixture
def without_llama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)


@pytest.mark.parametrize("features", FEATURES)
def test_only_openvino_is_tried(without_llama, settings, features) -> None:
    for variants in (language_variants, vision_variants):
        tried = [*variants(settings, features)]
        assert tried
        assert all(variant.kernels for variant in tried)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize(
    ("named", "name"),
    [({"runtime": "llama"}, "EDGE_RUNTIME=llama"), ({"vision": "mtmd"}, "EDGE_VISION")],
)
def test_asking_for_it_by_name_is_one_clear_sentence(
    without_llama, files, tmp_path, features, named, name
) -> None:
    settings = Settings(data_dir=tmp_path, **named)
    with pytest.raises(SetupError, match=f"{name}.*`make setup`"):
        make_plan(settings, files)
    with pytest.raises(SetupError, match=name):
        measure_variants(settings, files, print)


def test_what_was_measured_with_it_is_not_served(
    without_llama, settings, files
) -> None:
    slow = Kernels("f32", 0)
    keep_tuning(
        settings,
        files,
        language(slow, [900, 900, 900, 900, 900]),
        language(None, [1, 1, 1, 1, 1], kv="f16"),
        vision(None, [1, 1]),
        vision(EXACT, [9, 9]),
    )
    plan = make_plan(settings, files)
    assert (plan.language.kernels, plan.vision.kernels) == (slow, EXACT)


def test_too_little_memory_for_openvino_is_an_error(
    without_llama, settings, files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 50 << 20)
    with pytest.raises(SetupError, match="more memory"):
        make_plan(settings, files)


def test_what_openvino_cannot_load_is_its_own_error(
    without_llama, settings, files, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(settings, files)

    def fail(*args: object, **sizes: object) -> None:
        raise SetupError("OpenVINO cannot.")

    for name, load in (
        ("OpenvinoRuntime", build_runtime),
        ("OpenvinoTower", build_tower),
    ):
        monkeypatch.setattr(build, name, fail)
        with pytest.raises(SetupError, match="OpenVINO cannot"):
            load(plan)


@pytest.mark.model
def test_a_machine_without_it_answers(tmp_path: Path) -> None:
    """With all packages of this environment except llama-cpp-python."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in Path(llguidance.__file__).parents[1].iterdir():
        if not package.name.startswith("llama_cpp"):
            (packages / package.name).symlink_to(package)
    picture = tmp_path / "circle.png"
    image = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(image).ellipse((40, 40, 184, 184), "red")
    image.save(picture)
    question = "What shape is this, and which colour?"
    words = ["ask", str(picture), question, "--model", "tiny"]
    answer = subprocess.run(
        [sys.executable, "-S", "-c", EDGE, *words],
        env={"EDGE_DATA_DIR": str(tmp_path), "PYTHONPATH": f"{ROOT}:{packages}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"red", "circle"} <= set(answer.stdout.lower().strip("\n.").split())


@pytest.mark.model
def test_openvino_serves_without_importing_it(tmp_path: Path) -> None:
    script = f"""
import sys
from contextlib import closing
from pathlib import Path
from edge.models.registry import tiny_files
from edge.settings import Settings
from edge.serving.plan import make_plan
import worker.lifecycle as lifecycle
settings = Settings(data_dir=Path({str(tmp_path)!r}), threads=1)
with closing(lifecycle.build_engine(make_plan(settings, tiny_files()))) as engine:
    lifecycle.warm(engine)
print([name for name in sys.modules if name.startswith("llama_cpp")])
"""
    said = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert said == "[]\n"

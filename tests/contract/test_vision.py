"""OpenVINO's vision encoder equals llama.cpp's, is compiled once, and can stop."""

from __future__ import annotations

import gc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import Cancelled, SetupError
from edge.gguf.layout import QWEN3_VL_2B
from edge.gguf.synthetic import write_synthetic
from edge.images import Picture
from edge.llamacpp.model import Model
from edge.llamacpp.vision import MtmdTower
from edge.models.registry import ModelFiles
from edge.openvino.vision import OpenvinoTower
from edge.openvino.vision_weights import TowerWeights
from edge.serving import build
from edge.serving.plan import make_plan
from edge.settings import Settings
from tests.openvino.precisions import PRECISIONS

pytestmark = pytest.mark.model

SIZES = {"threads": 2, "min_tokens": 16, "max_tokens": 1024}
Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The exact encoder of Qwen3-VL-2B, with a short language model."""
    shapes = replace(QWEN3_VL_2B, n_layers=4)
    folder = tmp_path_factory.mktemp("full")
    return write_synthetic(folder, shapes=shapes, mmproj="BF16", n_tokens=2000)


@pytest.fixture(scope="module", params=["tiny", "babble", "full"])
def files(request: pytest.FixtureRequest) -> Pair:
    return request.getfixturevalue(request.param)


def scene(width: int, height: int) -> Picture:
    """Smooth colours with a sharp square: noise alone would be like no picture."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=2)
    rgb[height // 4 : height // 2, width // 3 : width // 2] = 255, 0, 40
    return Picture(width, height, rgb.astype(np.uint8).tobytes())


def frames(width: int, height: int) -> tuple[Picture, Picture]:
    """Two that differ everywhere."""
    first = scene(width, height)
    return first, Picture(width, height, bytes(255 - level for level in first.rgb))


def pair_of(first: Picture, second: Picture) -> Picture:
    return Picture(first.width, first.height, first.rgb + second.rgb, n_frames=2)


@pytest.fixture(scope="module")
def of_llama_cpp(files: Pair) -> list[tuple[Picture, np.ndarray]]:
    """Stills and pairs, with their embeddings [tokens, width]."""
    pictures = [scene(*size) for size in ((320, 224), (96, 480), (33, 50))]
    pictures += [pair_of(*frames(*size)) for size in ((160, 96), (64, 32), (45, 70))]
    with closing(MtmdTower(files[1], Model(files[0]), **SIZES)) as tower:
        return [(picture, tower.embed(picture)) for picture in pictures]


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Of each token, at each of its four levels."""
    ours, theirs = (x.reshape(len(x), 4, -1).astype(np.float64) for x in (ours, theirs))
    lengths = np.linalg.norm(ours, axis=2) * np.linalg.norm(theirs, axis=2)
    return (ours * theirs).sum(axis=2) / lengths


@pytest.mark.parametrize(("precision", "floor"), [("f32", 0.9995), ("int8", 0.995)])
def test_embeddings_are_those_of_llama_cpp(
    files, of_llama_cpp, towers, precision, floor
) -> None:
    tower = OpenvinoTower(files[1], towers, kernels=PRECISIONS[precision], **SIZES)
    with closing(tower):
        for picture, theirs in of_llama_cpp:
            size, ours = (picture.width, picture.height), tower.embed(picture)
            rows, columns = tower.grid(*size, n_frames=picture.n_frames)
            assert ours.shape == theirs.shape == (rows * columns, tower.width)
            assert cosines(ours, theirs).min() >= floor


def test_unpacked_weights_give_what_exact_ones_give(babble, towers) -> None:
    """In f16, multiplied as bf16."""
    picture, made = scene(320, 224), []
    for precision in ("f16", "f32"):
        kernels = PRECISIONS[precision]
        tower = OpenvinoTower(babble[1], towers, kernels=kernels, **SIZES)
        with closing(tower):
            made.append(tower.embed(picture))
    assert cosines(*made).min() > 0.999


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_a_pair_is_two_frames_in_their_order(babble, towers, precision) -> None:
    """Ablation: the encoder knows which frame came first, and two equal frames are a
    still, to the bit."""
    kernels = PRECISIONS[precision]
    with closing(OpenvinoTower(babble[1], towers, kernels=kernels, **SIZES)) as tower:
        first, second = frames(320, 224)
        still = tower.embed(first)
        assert np.array_equal(tower.embed(pair_of(first, first)), still)
        forwards = tower.embed(pair_of(first, second))
        backwards = tower.embed(pair_of(second, first))
        assert cosines(forwards, backwards).min() < 0.9
        assert cosines(forwards, still).min() < 0.9
        assert np.array_equal(tower.embed(first), still)


def test_a_pair_pauses_as_a_still_does(tiny, towers) -> None:
    kernels = PRECISIONS["int8"]
    with closing(OpenvinoTower(tiny[1], towers, kernels=kernels, **SIZES)) as tower:
        first, second = frames(320, 224)
        pauses: list[None] = []
        tower.embed(pair_of(first, second), lambda: pauses.append(None))
        assert len(pauses) == tower.n_stages - 1


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_it_computes_the_same_after_a_rest(tiny, towers, precision) -> None:
    kernels, picture = PRECISIONS[precision], scene(320, 224)
    with closing(OpenvinoTower(tiny[1], towers, kernels=kernels, **SIZES)) as tower:
        tower.rest()  # before any picture
        before = tower.embed(picture)
        tower.rest()
        assert np.array_equal(tower.embed(picture), before)
        assert np.array_equal(tower.embed(picture), before)


def test_pauses_do_not_pile_up(tiny, towers) -> None:
    """OpenVINO copies each node of a running graph, and keeps those in Python."""

    def n_nodes() -> int:
        gc.collect()
        return sum(type(one).__name__ == "Pause" for one in gc.get_objects())

    kernels = PRECISIONS["int8"]
    with closing(OpenvinoTower(tiny[1], towers, kernels=kernels, **SIZES)) as tower:
        tower.embed(scene(320, 224))
        before = n_nodes()
        for size in ((320, 224), (224, 320), (320, 224)):
            tower.embed(scene(*size))
        assert n_nodes() == before


def test_it_is_compiled_once_for_each_precision(tiny, tmp_path) -> None:
    def blobs(precision: str, threads: int = 1) -> dict[str, int]:
        sizes = SIZES | {"threads": threads}
        OpenvinoTower(tiny[1], tmp_path, kernels=PRECISIONS[precision], **sizes).close()
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    [int8] = blobs("int8").items()
    assert dict([int8]) == blobs("int8")
    assert len(blobs("f32")) == 2
    # other threads are another program: the old one goes, f32 stays
    other = blobs("int8", threads=2)
    assert len(other) == 2
    assert int8[0] not in other


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.999])
def test_a_damaged_compiled_file_is_replaced(tiny, tmp_path, kept) -> None:
    def embedded() -> np.ndarray:
        tower = OpenvinoTower(tiny[1], tmp_path, kernels=PRECISIONS["int8"], **SIZES)
        with closing(tower):
            return tower.embed(scene(100, 100))

    before = embedded()
    [blob] = tmp_path.iterdir()
    size = blob.stat().st_size
    with blob.open("r+b") as file:
        file.truncate(int(kept if kept > 1 else kept * size))
    assert np.array_equal(embedded(), before)


def test_without_a_writable_folder_the_encoder_works(tiny, tmp_path, caplog) -> None:
    (tmp_path / "file").write_bytes(b"")
    nowhere = tmp_path / "file" / "towers"
    tower = OpenvinoTower(tiny[1], nowhere, kernels=PRECISIONS["int8"], **SIZES)
    with closing(tower):
        assert tower.embed(scene(100, 100)).shape[0] == 16
    assert "at each start" in caplog.text


def test_a_compiled_file_pauses_before_each_block(tiny, tmp_path) -> None:
    """Also if another tower, with pauses of its own, has compiled it."""
    n_pauses = []
    for _ in range(2):
        tower = OpenvinoTower(tiny[1], tmp_path, kernels=PRECISIONS["int8"], **SIZES)
        other = OpenvinoTower(tiny[1], tmp_path, kernels=PRECISIONS["int8"], **SIZES)
        with closing(tower), closing(other):
            pauses: list[None] = []
            tower.embed(scene(100, 100), lambda pauses=pauses: pauses.append(None))
            other.embed(scene(100, 100))
            n_pauses.append(len(pauses))
    n_blocks = TowerWeights(tiny[1]).n_blocks
    assert n_pauses == [n_blocks, n_blocks]


def test_a_question_that_is_cancelled_frees_the_encoder_within_a_stage(
    tiny, towers
) -> None:
    tower = OpenvinoTower(tiny[1], towers, kernels=PRECISIONS["int8"], **SIZES)
    n_pauses = 0

    def pause() -> None:
        nonlocal n_pauses
        n_pauses += 1
        if n_pauses == 2:
            raise Cancelled("enough")

    with closing(tower):
        picture = scene(800, 600)
        whole = tower.embed(picture)
        with pytest.raises(Cancelled, match="enough"):
            tower.embed(picture, pause)
        assert n_pauses == 2 < tower.n_stages
        assert np.array_equal(tower.embed(picture), whole)


def test_a_foreign_vision_file_falls_back_or_is_refused(
    tiny, tmp_path, monkeypatch, caplog
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise SetupError(f"{path} is a foreign vision file.")

    monkeypatch.setattr("edge.openvino.vision.TowerWeights", refuse)
    files = ModelFiles("tiny", *tiny)

    def built(vision: str) -> str:
        settings = Settings(vision=vision, data_dir=tmp_path, threads=1)
        with closing(build.build_tower(make_plan(settings, files))) as tower:
            return tower.name

    assert built("auto") == "mtmd"
    assert "foreign" in caplog.text
    with pytest.raises(SetupError, match="foreign"):
        built("int8")


def test_a_language_model_is_refused_as_a_vision_file(tiny, tmp_path) -> None:
    with pytest.raises(SetupError, match="clip"):
        OpenvinoTower(tiny[0], tmp_path, kernels=PRECISIONS["f32"], **SIZES)

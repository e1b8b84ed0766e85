"""A short pair has the shapes, types and bytes of a few layers of the whole one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge.gguf.header import Header, read_header
from edge.gguf.short import (
    TEXT_LAYERS,
    VISION_BLOCKS,
    text_ratio,
    vision_ratio,
    write_short,
)
from edge.gguf.weights import Weights
from edge.models.pair import check_pair
from edge.models.registry import ModelFiles, tiny_files
from edge.serving.build import build_runtime, build_tower
from edge.serving.plan import make_plan
from edge.settings import Settings

Pair = tuple[Header, Header]


@pytest.fixture
def whole() -> Pair:
    files = tiny_files()
    return files.model_header, files.mmproj_header


@pytest.fixture
def short(whole: Pair, tmp_path: Path) -> Pair:
    text, vision = write_short(*whole, tmp_path)
    return read_header(text), read_header(vision)


def test_it_is_a_pair_with_few_layers(short: Pair) -> None:
    check_pair(*short)
    assert short[0].number("qwen3vl.block_count") == TEXT_LAYERS
    assert short[1].number("clip.vision.block_count") == VISION_BLOCKS


def test_its_layers_are_spread_over_those_of_the_whole(
    whole: Pair, short: Pair
) -> None:
    """Five layers: numbers 0, 1, 2 and 3; four blocks: 0 and 2."""
    for part, name, source in (
        (0, "blk.3.ffn_up.weight", "blk.3.ffn_up.weight"),
        (1, "v.blk.1.ffn_up.weight", "v.blk.2.ffn_up.weight"),
        (1, "v.deepstack.0.fc1.weight", "v.deepstack.0.fc1.weight"),
        (1, "mm.2.bias", "mm.2.bias"),
    ):
        ours = Weights(short[part].path)
        theirs = Weights(whole[part].path)
        assert short[part].tensors[name].kind == whole[part].tensors[source].kind
        assert np.array_equal(ours[name], theirs[source])


def test_its_vocabulary_is_the_same_share(whole: Pair, short: Pair) -> None:
    rows = [int(p[0].tensors["token_embd.weight"].shape[-1]) for p in (whole, short)]
    assert rows[1] == int(rows[0] * 4 / 5)


def test_the_ratios_are_those_of_the_work(whole: Pair, short: Pair) -> None:
    assert text_ratio(whole[0]) == 5 / 4
    assert text_ratio(short[0]) == 1
    assert vision_ratio(whole[1], whole[1], 64) == 1
    assert 1.5 < vision_ratio(whole[1], short[1], 64) <= 2


@pytest.mark.model
@pytest.mark.parametrize("runtime", ["openvino", "llama"])
def test_every_backend_serves_it(short: Pair, tmp_path: Path, runtime: str) -> None:
    files = ModelFiles("short", short[0].path, short[1].path)
    vision = "int8" if runtime == "openvino" else "mtmd"
    settings = Settings(runtime=runtime, vision=vision, data_dir=tmp_path, threads=1)
    plan = make_plan(settings, files)
    with closing(build_runtime(plan)) as one, closing(build_tower(plan)) as tower:
        assert one.name.startswith(runtime)
        assert tower.name.startswith("openvino" if runtime == "openvino" else "mtmd")

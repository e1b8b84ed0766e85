"""The synthetic pair has the published sizes, valid blocks and varied babble."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from math import prod, sqrt
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from edge.engine.engine import Engine
from edge.errors import SetupError
from edge.events import Failed, Finished
from edge.gguf.layout import QWEN3_VL_2B, TINY, text_tensors, vision_tensors
from edge.gguf.synthetic import planned_sizes, synthetic_vocabulary, write_synthetic
from edge.gguf.tokenizer import read_tokenizer
from edge.images import Picture
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.llamacpp.vision import MtmdTower
from edge.models.registry import SYNTHETIC_FILES
from edge.request import Message, Request, SamplingParams

# Rows of whole blocks of 256, as in the true shapes; 28 layers for the true mix.
SMALL = replace(TINY, hidden=256, n_heads=8, n_layers=28)
N_TOKENS = 2000
PAIRS = [("Q4_K_M", "Q8_0"), ("Q4_0", "BF16"), ("Q8_0", "F16"), ("F16", "Q8_0")]
Pair = tuple[Path, Path]
Write = Callable[..., Pair]


@pytest.fixture(scope="session")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Pair]:
    """A small pair of the two types, written once."""
    folder = tmp_path_factory.mktemp("synthetic")
    return lambda *quants: small(folder / "-".join(quants), *quants)


def small(folder: Path, quant: str = "Q4_K_M", mmproj: str = "Q8_0", **more) -> Pair:
    what = {"shapes": SMALL, "n_tokens": N_TOKENS} | more
    return write_synthetic(folder, quant=quant, mmproj=mmproj, **what)


def tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors as float32."""
    found = GGUFReader(path).tensors
    return {t.name: dequantize(t.data, t.tensor_type) for t in found}


def types(path: Path) -> dict[str, str]:
    return {t.name: t.tensor_type.name for t in GGUFReader(path).tensors}


@pytest.mark.parametrize(
    "quant, mmproj, published, metadata",
    [
        ("Q4_K_M", None, 1107409952, 6_000_000),
        ("Q8_0", None, 1834427424, 6_000_000),
        (None, "F16", 819394848, 20_000),
        (None, "Q8_0", 445053216, 20_000),
    ],
)
def test_weights_have_the_size_of_the_published_files(
    quant: str | None, mmproj: str | None, published: int, metadata: int
) -> None:
    sizes = planned_sizes(QWEN3_VL_2B, quant or "F16", mmproj or "F16", 151936)
    size = sizes[0] if quant else sizes[1]
    assert 0 < published - size < metadata < 0.02 * published


@pytest.mark.parametrize("quant, mmproj", PAIRS)
def test_files_hold_the_planned_sizes(pair_of, quant: str, mmproj: str) -> None:
    text, vision = (GGUFReader(path) for path in pair_of(quant, mmproj))
    for file, planned in (
        (text, text_tensors(SMALL, N_TOKENS)),
        (vision, vision_tensors(SMALL)),
    ):
        shapes = {t.name: tuple(map(int, t.shape[::-1])) for t in file.tensors}
        assert shapes == planned
    sizes = tuple(sum(t.n_bytes for t in file.tensors) for file in (text, vision))
    assert sizes == planned_sizes(SMALL, quant, mmproj, N_TOKENS)


def test_q4_k_m_is_the_mix_of_llama_cpp(pair_of) -> None:
    found = types(pair_of("Q4_K_M", "Q8_0")[0])
    finer = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27}
    assert found["token_embd.weight"] == "Q6_K"
    for layer in range(SMALL.n_layers):
        for part in ("attn_v", "ffn_down"):
            kind = "Q6_K" if layer in finer else "Q4_K"
            assert found[f"blk.{layer}.{part}.weight"] == kind
        for part in ("attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"):
            assert found[f"blk.{layer}.{part}.weight"] == "Q4_K"
        assert found[f"blk.{layer}.ffn_norm.weight"] == "F32"


@pytest.mark.parametrize(
    "mmproj, kernel", [("F16", "F16"), ("BF16", "F32"), ("Q8_0", "F32")]
)
def test_pixels_positions_and_vectors_are_never_quantised(
    tmp_path: Path, mmproj: str, kernel: str
) -> None:
    found = types(small(tmp_path, mmproj=mmproj)[1])
    assert found["v.patch_embd.weight"] == found["v.patch_embd.weight.1"] == kernel
    assert found["v.position_embd.weight"] == found["v.blk.0.ln1.weight"] == "F32"
    assert found["v.blk.0.attn_qkv.weight"] == found["mm.2.weight"] == mmproj


def test_rows_without_whole_blocks_fall_back(tmp_path: Path) -> None:
    found = types(small(tmp_path, shapes=TINY)[0])
    assert found["blk.0.attn_q.weight"] == found["token_embd.weight"] == "Q8_0"
    assert found["blk.0.ffn_down.weight"] == "Q4_K"


@pytest.mark.parametrize("quant, mmproj", PAIRS)
def test_weights_preserve_the_scale_of_activations(
    pair_of, quant: str, mmproj: str
) -> None:
    for path in pair_of(quant, mmproj):
        for name, weights in tensors(path).items():
            assert np.isfinite(weights).all(), name
            if weights.ndim == 1 or name == "token_embd.weight":
                continue
            gain = 4 if "patch_embd" in name else 1
            aim = gain / sqrt(prod(weights.shape[1:]))
            assert weights.std() == pytest.approx(aim, rel=0.1), name
            assert abs(weights.mean()) < 0.05 * aim, name


def test_control_tokens_are_never_sampled(pair_of) -> None:
    loudness = tensors(pair_of("Q4_K_M", "Q8_0")[0])["token_embd.weight"].std(axis=1)
    n_plain = len(synthetic_vocabulary(N_TOKENS).plain)
    assert loudness[n_plain:].max() < 0.2 * loudness[:n_plain].min()


def test_equal_seeds_give_equal_bytes_and_others_do_not(
    pair_of, tmp_path: Path
) -> None:
    same, other = small(tmp_path / "same"), small(tmp_path / "other", seed=1)
    for one, two, three in zip(pair_of("Q4_K_M", "Q8_0"), same, other, strict=True):
        assert one.read_bytes() == two.read_bytes() != three.read_bytes()


def test_existing_files_are_not_written_again(tmp_path: Path) -> None:
    first, again = [], []
    files = small(tmp_path, progress=lambda *at: first.append(at))
    assert small(tmp_path, progress=lambda *at: again.append(at)) == files
    assert [path.name for path in files] == [
        "synthetic-2b-Q4_K_M.gguf",
        "mmproj-synthetic-2b-Q8_0.gguf",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert first == sorted(first) and first[-1][0] == first[-1][1]
    assert not again


def test_the_files_of_the_last_call_are_the_newest(tmp_path: Path) -> None:
    for path in (files := small(tmp_path)):
        os.utime(path, (0, 0))
    small(tmp_path, "F16", "F16")
    assert small(tmp_path) == files
    for kind, path in zip(SYNTHETIC_FILES, files, strict=True):
        newest = max(tmp_path.glob(kind), key=lambda found: found.stat().st_mtime)
        assert newest == path


@pytest.mark.parametrize("change", ["seed", "vocabulary", "shapes", "cut", "missing"])
def test_different_files_are_replaced(pair_of, tmp_path: Path, change: str) -> None:
    old = {
        "seed": {"seed": 1},
        "vocabulary": {"n_tokens": N_TOKENS + 1},
        "shapes": {"shapes": replace(SMALL, rope_base=1e6)},
    }
    wanted = pair_of("Q4_K_M", "Q8_0")
    if change in old:
        small(tmp_path, **old[change])
    else:
        for path in wanted:
            shutil.copy(path, tmp_path)
    if change == "cut":
        whole = wanted[0].read_bytes()
        Path(tmp_path, wanted[0].name).write_bytes(whole[: len(whole) // 2])
    if change == "missing":
        Path(tmp_path, wanted[1].name).unlink()
    for path, again in zip(wanted, small(tmp_path), strict=True):
        assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("quants", [("Q3_K_S", "Q8_0"), ("Q4_K_M", "Q4_K_M")])
def test_an_unknown_type_is_refused(tmp_path: Path, quants: tuple[str, str]) -> None:
    with pytest.raises(SetupError, match="Q8_0"):
        small(tmp_path / "not there", *quants)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_refused_before_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(free=1_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(SetupError, match=r"takes 1\.6 GB .* has 1\.0 GB"):
        write_synthetic(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_control_tokens_have_the_ids_of_qwen() -> None:
    words = synthetic_vocabulary(151936)
    assert len(set(words.tokens)) == 151936
    ids = {
        "<|endoftext|>": 151643,
        "<|im_start|>": 151644,
        "<|im_end|>": 151645,
        "<|object_ref_start|>": 151646,
        "<|quad_end|>": 151651,
        "<|vision_start|>": 151652,
        "<|vision_end|>": 151653,
        "<|vision_pad|>": 151654,
        "<|image_pad|>": 151655,
        "<|video_pad|>": 151656,
    }
    assert {token: words.id_of(token) for token in ids} == ids


@pytest.mark.parametrize("n_tokens", [271, 700, 5000])
def test_a_vocabulary_may_be_small(n_tokens: int) -> None:
    words = synthetic_vocabulary(n_tokens)
    assert len(set(words.tokens)) == n_tokens
    assert {"".join(pair) for pair in words.merges} <= set(words.plain)
    assert set("".join(map("".join, words.merges))) <= set(words.plain)


@pytest.mark.model
@pytest.mark.parametrize("quant, mmproj", PAIRS)
def test_llama_cpp_babbles_with_it_about_each_picture(
    pair_of, quant: str, mmproj: str
) -> None:
    files = pair_of(quant, mmproj)
    assert len({answer(files, seed=seed) for seed in range(3)}) == 3


@pytest.mark.model
def test_llama_cpp_loads_fallback_types(tmp_path: Path) -> None:
    assert answer(small(tmp_path, shapes=TINY), seed=0)


def answer(files: Pair, *, seed: int) -> str:
    """20 greedy tokens about a picture of noise; most of them differ."""
    pixels = np.random.default_rng(seed).integers(0, 256, (128, 160, 3), np.uint8)
    picture = Picture(160, 128, pixels.tobytes())
    request = Request(
        (Message("user", (picture.ref, "What is it?")),), SamplingParams(max_tokens=20)
    )
    cells = {"min_tokens": 16, "max_tokens": 64}
    tower = MtmdTower(files[1], Model(files[0]), threads=1, **cells)
    assert np.isfinite(tower.embed(picture)).all()
    sizes = {"n_slots": 1, "n_cells": 256, "max_batch": 64, "threads": 1}
    runtime = LlamaRuntime(Model(files[0]), **sizes)
    with closing(Engine(runtime, tower, chunk_tokens=32)) as engine:
        ticket = engine.submit(request, {picture.ref.sha256: picture})
        while not isinstance(event := ticket.next(timeout_s=60), Finished | Failed):
            pass
    assert isinstance(event, Finished), event
    assert event.answer.usage.completion_tokens == 20
    assert len(set(event.answer.text.split())) > 5, event.answer.text
    return event.answer.text


@pytest.mark.model
@pytest.mark.parametrize(
    "text, n_most",
    [
        ("请描述这张图片的内容。", 8),
        ("图片里有什么？", 5),
        ("What is in this picture?", 6),
        ("Describe the image in detail.", 6),
    ],
)
def test_usual_questions_have_usual_numbers_of_tokens(
    pair_of, text: str, n_most: int
) -> None:
    tokenizer = read_tokenizer(pair_of("Q4_K_M", "Q8_0")[0])
    tokens = tokenizer.tokenize(text, special=False)
    assert len(tokens) <= n_most
    assert b"".join(map(tokenizer.piece, tokens)).decode() == text

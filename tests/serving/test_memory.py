"""The memory computed from headers is close to what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.engine.step import MOST_GUESSED
from edge.errors import SetupError
from edge.gguf.header import Header, Tensor, read_header
from edge.gguf.layout import QWEN3_VL_2B, Shapes
from edge.serving.memory import MemoryNeed, check_memory, memory_need
from edge.settings import Settings
from tests.models.small import SMALL, write_text, write_vision

MIB = 1 << 20
GIB = 1 << 30
Pair = tuple[Header, Header]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("small")
    return read_header(write_text(folder)), read_header(write_vision(folder))


@pytest.fixture(scope="module")
def real(small: Pair) -> Pair:
    """Qwen3-VL-2B in Q4_K_M and Q8_0, as far as its headers go: the sizes are those of
    the published files."""
    model, mmproj = small
    s = QWEN3_VL_2B
    text = {
        "block_count": s.n_layers,
        "embedding_length": s.hidden,
        "feed_forward_length": s.ffn,
        "attention.head_count": s.n_heads,
        "attention.head_count_kv": s.n_kv_heads,
        "attention.key_length": s.head_dim,
        "attention.value_length": s.head_dim,
        "n_deepstack_layers": len(s.deepstack_blocks),
    }
    tower = {
        "embedding_length": s.vision_hidden,
        "feed_forward_length": s.vision_ffn,
        "patch_size": s.patch,
        "spatial_merge_size": s.merge,
    }
    words = {"tokenizer.ggml.tokens": 151_936, "tokenizer.ggml.merges": 151_387}
    return (
        replace(
            model,
            values=model.values | {f"qwen3vl.{key}": n for key, n in text.items()},
            lengths=words,
            tensors={
                "blk.all": Tensor((1_409_408_000,), 846_196_736),
                "token_embd.weight": Tensor((2048, 151_936), 255_260_672),
            },
        ),
        replace(
            mmproj,
            values=mmproj.values | {f"clip.vision.{k}": n for k, n in tower.items()},
            tensors={"all": Tensor((406_957_056,), 445_034_496)},
        ),
    )


def test_a_token_of_the_real_model_takes_112_kib(real: Pair) -> None:
    need = memory_need(*real, Settings(context_tokens=8192))
    assert need.kv_bytes == 8192 * 112 * 1024


def test_heads_may_be_described_by_their_number_alone(small: Pair) -> None:
    model, mmproj = small
    few = {k: v for k, v in model.values.items() if "_length" not in k}
    few["qwen3vl.embedding_length"] = SMALL.hidden
    need = memory_need(replace(model, values=few), mmproj, Settings())
    assert need.kv_bytes == memory_need(*small, Settings()).kv_bytes


def test_weights_are_those_of_both_files(small: Pair) -> None:
    need = memory_need(*small, Settings())
    assert need.weights_bytes == sum(
        tensor.n_bytes for header in small for tensor in header.tensors.values()
    )
    assert 0 < need.weights_bytes < sum(h.path.stat().st_size for h in small)


# Resident memory of a worker with files of these shapes after one picture, beside what
# Python held before. llguidance came later and was measured apart.
LLGUIDANCE_MIB = 67


@pytest.mark.parametrize(
    ("vision", "runtime", "cells", "measured_mib"),
    [
        ("int8", "llama", 64, 2511),
        ("int8", "llama", 256, 2616),
        ("int8", "llama", 1024, 2919),
        ("mtmd", "llama", 1024, 2767),
        ("int8", "openvino", 1024, 3525),
        ("f32", "llama", 1024, 6148),  # the most while it started; 4268 afterwards
    ],
)
def test_the_need_is_what_was_measured(
    real: Pair, vision: str, runtime: str, cells: int, measured_mib: int
) -> None:
    chosen = Settings(
        slots=1, image_tokens=cells, video_tokens=256, embeddings_mb=0, kv="f16"
    )
    need = memory_need(*real, replace(chosen, vision=vision, runtime=runtime))
    measured_bytes = (measured_mib + LLGUIDANCE_MIB) * MIB
    assert 0.95 < need.total_bytes / measured_bytes < 1.05


# MiB that clip.cpp reserved for a picture of 8 x 8 cells, by width of the tower, of
# its feed-forward part and of the language model, and number of deepstack layers.
@pytest.mark.parametrize(
    ("hidden", "ffn", "width", "n_deepstack", "reserved_mib"),
    [
        (1024, 4096, 2048, 3, 9.75),  # Qwen3-VL-2B
        (1024, 4096, 2560, 3, 9.75),  # 4B
        (1152, 4304, 4096, 3, 10.58),  # 8B
        (1152, 4304, 5120, 3, 11.50),  # 32B
        (1024, 4096, 2048, 0, 6.75),
        (1024, 4096, 2048, 1, 7.75),
        (1024, 8192, 2048, 3, 13.75),
        (1024, 1024, 2048, 3, 8.75),
        (512, 2048, 2048, 3, 5.25),
    ],
)
def test_the_reservation_of_the_tower_is_covered(
    real: Pair,
    hidden: int,
    ffn: int,
    width: int,
    n_deepstack: int,
    reserved_mib: float,
) -> None:
    model, mmproj = real
    text = {
        "qwen3vl.embedding_length": width,
        "qwen3vl.n_deepstack_layers": n_deepstack,
    }
    tower = {
        "clip.vision.embedding_length": hidden,
        "clip.vision.feed_forward_length": ffn,
    }
    need = memory_need(
        replace(model, values=model.values | text),
        replace(mmproj, values=mmproj.values | tower),
        Settings(slots=1, image_tokens=64, embeddings_mb=0, vision="mtmd"),
    )
    beside = 64 * (2 * 2 * width * (1 + n_deepstack) + 4 * 2 * ffn + 32 * 32 * 33)
    assert 0.99 < (need.tower_bytes - beside) / (reserved_mib * MIB) < 1.25


def test_each_slot_holds_the_embeddings_of_a_picture(real: Pair) -> None:
    one, four = (
        memory_need(*real, Settings(slots=slots, image_tokens=1024)) for slots in (1, 4)
    )
    assert four.tower_bytes - one.tower_bytes == 3 * 16 * MIB


def test_embeddings_of_videos_fit_into_the_cache_and_into_the_need(real: Pair) -> None:
    """Twice 4,096 tokens are the whole cache; a third video waits for its turn."""

    def bytes_of(video_tokens: int) -> int:
        settings = Settings(image_tokens=1024, video_tokens=video_tokens)
        return memory_need(*real, settings).fixed_vision_bytes

    token = 16 * 1024
    n_pictures = 5 * 1024
    assert bytes_of(4096) - bytes_of(256) == (8192 + 4096 - n_pictures) * token
    assert bytes_of(1024) == bytes_of(256)  # as a picture for each slot and the next
    assert bytes_of(100_000) - bytes_of(256) == (2 * 8192 - n_pictures) * token


def test_image_tokens_are_limited_by_the_model(tmp_path: Path) -> None:
    def need(shapes: Shapes, image_tokens: int) -> int:
        files = write_text(tmp_path, shapes), write_vision(tmp_path, shapes)
        model, mmproj = (read_header(path) for path in files)
        wanted = Settings(image_tokens=image_tokens)
        return memory_need(model, mmproj, wanted).tower_bytes

    trained = replace(SMALL, min_image_tokens=16, max_image_tokens=64)
    assert need(trained, 1024) == need(trained, 64) == need(SMALL, 64)
    assert need(trained, 32) == need(SMALL, 32) < need(SMALL, 64)


def test_more_slots_and_longer_batches_need_more(real: Pair) -> None:
    base = memory_need(*real, Settings(slots=1)).compute_bytes
    assert memory_need(*real, Settings(slots=4)).compute_bytes > base
    assert memory_need(*real, Settings(slots=1, chunk_tokens=512)).compute_bytes > base


def test_a_smaller_kv_type_makes_a_smaller_cache(real: Pair) -> None:
    full, small = (memory_need(*real, Settings(kv=kv)) for kv in ("f16", "q8_0"))
    assert full.kv_bytes == 8192 * 112 * 1024
    assert small.kv_bytes * 32 == full.kv_bytes * 17
    assert full.total_bytes - small.total_bytes == full.kv_bytes - small.kv_bytes


def test_openvino_has_a_smaller_kv_type_by_default(real: Pair) -> None:
    ours, theirs, chosen = (
        memory_need(*real, Settings(runtime=who, kv=kv)).kv_bytes
        for who, kv in (("openvino", "auto"), ("llama", "auto"), ("openvino", "f16"))
    )
    assert theirs == 8192 * 112 * 1024
    assert ours * 32 == chosen * 17


def test_a_need_reads_as_a_sum() -> None:
    need = MemoryNeed(GIB, 9 * GIB // 10, 3 * GIB // 10, 6 * GIB // 10)
    assert str(need) == ("weights 1.0 + cache 0.9 + compute 0.3 + vision 0.6 = 2.8 GiB")


def test_two_needs_are_added_by_purpose() -> None:
    one, other = MemoryNeed(1, 2, 3, 4, 5), MemoryNeed(10, 20, 30, 40, 50)
    assert one + other == MemoryNeed(11, 22, 33, 44, 55)
    assert (one + other).total_bytes == one.total_bytes + other.total_bytes


def test_the_tables_of_llguidance_are_counted(real: Pair) -> None:
    model, mmproj = real
    settings = Settings(runtime="openvino")
    tables, none = (
        memory_need(header, mmproj, settings).compute_bytes
        for header in (model, replace(model, lengths={}))
    )
    n_tokens, n_merges = model.lengths.values()
    most_wanted = settings.slots * (MOST_GUESSED + 1)
    logits = 2 * max(settings.slots + settings.kept, most_wanted) * n_tokens * 4
    llguidance = tables - none - logits - (n_tokens + n_merges) * 200
    assert 0.95 < llguidance / (LLGUIDANCE_MIB * MIB) < 1.05


def test_a_need_that_fits_passes() -> None:
    check_memory(need := MemoryNeed(400, 300, 200, 100), need.total_bytes, 8192, 1024)


def test_a_need_that_does_not_fit_is_refused_with_advice() -> None:
    need = MemoryNeed(GIB, 9 * GIB // 10, 3 * GIB // 10, 6 * GIB // 10)
    with pytest.raises(SetupError) as caught:
        check_memory(need, need.total_bytes - 1, 8192, 1024)
    assert caught.value.message == (
        "The model needs more memory (weights 1.0 + cache 0.9 + compute 0.3 + vision "
        "0.6 = 2.8 GiB) than the 2.8 GiB that are free for it: "
        "EDGE_CONTEXT_TOKENS=4096 saves 0.4 GiB, EDGE_IMAGE_TOKENS=512 saves 0.3 GiB, "
        "and a smaller model the most."
    )


def test_openvino_has_its_own_weights_and_blocks_that_are_never_full(
    real: Pair,
) -> None:
    ours, theirs = (
        memory_need(*real, Settings(runtime=who, kv="f16"))
        for who in ("openvino", "llama")
    )
    n_weights = 1_409_408_000 + 2048 * 151_936
    assert ours.weights_bytes - theirs.weights_bytes == n_weights - 1_101_457_408
    spare = 64 * (Settings().slots + Settings().kept)
    assert ours.kv_bytes - theirs.kv_bytes == spare * 112 * 1024


def test_weights_that_stay_in_four_bits_take_less(real: Pair) -> None:
    """The others, like the embeddings here, take a byte each."""
    model, mmproj = real
    n_bytes, settings = 1_409_408_000, Settings(runtime="openvino")
    layers = replace(model.tensors["blk.all"], kind=12)  # Q4_K
    mixed = replace(model, tensors=model.tensors | {"blk.all": layers})
    eight, four = (
        memory_need(mixed, mmproj, settings, form).weights_bytes
        for form in ("int8", "u4")
    )
    assert eight - four == pytest.approx(0.06 * n_bytes, abs=1)
    assert memory_need(model, mmproj, settings, "u4").weights_bytes == eight


def test_the_advice_is_true(real: Pair) -> None:
    def need(settings: Settings) -> MemoryNeed:
        return memory_need(*real, settings)

    whole, half = Settings(), Settings(context_tokens=4096, image_tokens=1024)
    assert need(half).kv_bytes == need(whole).kv_bytes // 2
    assert need(half).tower_bytes == need(whole).tower_bytes // 2


def test_free_memory_is_never_said_to_be_negative() -> None:
    with pytest.raises(SetupError, match=r"than the 0\.0 GiB that are free for it"):
        check_memory(MemoryNeed(weights_bytes=1), -1, 8192, 1024)

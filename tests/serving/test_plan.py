"""One Plan for all commands, from settings, headers and this machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from edge import host
from edge.errors import SetupError
from edge.gguf import header
from edge.gguf.layout import TINY
from edge.gguf.synthetic import write_synthetic
from edge.models.registry import ModelFiles
from edge.openvino.kernels import EXACT, Kernels, likely_kernels
from edge.serving import memory
from edge.serving import plan as plan_module
from edge.serving.build import build_engine
from edge.serving.choice import Measured
from edge.serving.memory import memory_need
from edge.serving.plan import Plan, least_need, make_plan
from edge.serving.tune import measure_variants
from edge.serving.variants import Variant, language_variants
from edge.settings import Settings
from edge.up.models import RESERVE_BYTES
from tests.serving.tuned import (
    DEFAULT_RESULTS,
    FAST,
    keep_tuning,
    language,
    vision,
)

GIB = 1 << 30


@pytest.fixture
def files(tiny: tuple[Path, Path]) -> ModelFiles:
    return ModelFiles("tiny", *tiny)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def set_free_memory(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: n_bytes)


def need_bytes(settings: Settings, files: ModelFiles, runtime: str) -> int:
    with_runtime = replace(settings, runtime=runtime)
    headers = files.model_header, files.mmproj_header
    return memory_need(*headers, with_runtime).total_bytes


# --- decisions ----------------------------------------------------------------------


def test_defaults_are_decided(settings: Settings, files: ModelFiles) -> None:
    plan = make_plan(settings, files)
    features, n_threads = host.cpu().features, host.usable_cores()
    likely = next(language_variants(settings, features)).kernels
    assert plan.language == Variant("language", likely, n_threads, "q8_0")
    likely = next(likely_kernels(features))
    assert plan.vision == Variant("vision", likely, n_threads)
    assert plan.choice.many is None
    assert plan.n_kv_cells == settings.context_tokens
    assert plan.settings == plan.child_settings == settings
    assert plan.notes == (
        "Not measured on this machine: `edge doctor --tune` takes three minutes.",
    )


def test_image_tokens_are_those_that_the_model_was_trained_with(
    settings: Settings, files: ModelFiles
) -> None:
    def image_tokens(allowed: int) -> tuple[int, int]:
        plan = make_plan(replace(settings, image_tokens=allowed), files)
        return plan.min_image_tokens, plan.max_image_tokens

    assert image_tokens(1024) == image_tokens(2048) == (64, 96)
    assert image_tokens(32) == (32, 32)  # the operator may allow smaller ones only


def test_the_largest_pictures_are_the_first_to_go_when_memory_is_short(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan_module, memory):  # trained with larger ones than `tiny`
        monkeypatch.setattr(module, "image_token_range", lambda _: (64, 4096))
    need = make_plan(settings, files).need.total_bytes
    set_free_memory(monkeypatch, need - 1)
    plan = make_plan(settings, files)
    assert plan.forced == {"image_tokens": 1024}
    assert plan.max_image_tokens == 1024
    assert plan.need.total_bytes < need
    assert plan.child_settings.image_tokens == 1024
    assert "`detail: high` gets 1024 too" in plan.notes[-1]
    # what the operator has set stays
    given = replace(settings, given=settings.given | {"image_tokens"})
    assert make_plan(given, files).max_image_tokens == 2048


def test_openvino_is_the_runtime_if_its_memory_is_free(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, kv="f16")  # of equal size: weights decide
    need = need_bytes(settings, files, "openvino")

    def runtime(free: int, wanted: str = "auto") -> str:
        set_free_memory(monkeypatch, free)
        chosen = replace(settings, runtime=wanted)
        return make_plan(chosen, files, reserve_bytes=7).language.runtime

    assert runtime(need + 7) == "openvino"
    assert runtime(need + 6) == "llama"
    assert runtime(need + 7, "llama") == "llama"
    with pytest.raises(SetupError, match="more memory"):
        runtime(need + 6, "openvino")


def test_the_slower_runtime_is_told(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, kv="f16", weights="int8")
    set_free_memory(monkeypatch, need_bytes(settings, files, "openvino") - 1)
    assert "llama.cpp computes" in make_plan(settings, files).notes[-1]
    chosen = replace(settings, runtime="llama")
    assert len(make_plan(chosen, files).notes) == 1


def test_a_smaller_cache_is_tried_before_slower_weights(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the note about llama.cpp comes whenever memory has chosen it."""
    results = (
        language(FAST, [50, 60, 70, 160, 500], kv="q8_0"),
        language(FAST, [40, 50, 60, 150, 450], kv="f16"),
        language(None, [70, 90, 120, 300, 800], kv="f16"),
    )
    keep_tuning(settings, files, *results, *DEFAULT_RESULTS[3:])
    need = make_plan(settings, files).need.total_bytes
    set_free_memory(monkeypatch, need - (1 << 20))
    plan = make_plan(settings, files)
    assert (plan.language.runtime, plan.language.kv) == ("openvino", "q8_0")
    assert plan.forced == {"kv": "q8_0"}
    set_free_memory(monkeypatch, plan.need.total_bytes - 1)
    plan = make_plan(replace(settings, vision="int8"), files)
    assert plan.language.runtime == "llama"
    assert "llama.cpp computes" in plan.notes[-1]


def test_what_has_crashed_here_is_not_the_default(
    settings: Settings, files: ModelFiles
) -> None:
    likely, other = [
        replace(one, ms=(), problem="crashed")
        for one in (make_plan(settings, files).choice.language, language(None, [1] * 5))
    ]
    keep_tuning(settings, files, likely, other, *DEFAULT_RESULTS[3:])
    plan = make_plan(settings, files)
    assert plan.language not in (likely.variant, other.variant)


def test_experts_are_for_llama_cpp(
    settings: Settings, files: ModelFiles, tmp_path: Path
) -> None:
    header, experts = files.model_header, replace(files)
    values = {
        name.replace("qwen3vl.", "qwen3vlmoe."): value
        for name, value in header.values.items()
    }
    values["general.architecture"] = "qwen3vlmoe"
    vars(experts)["model_header"] = replace(header, values=values)  # as it is cached
    plan = make_plan(settings, experts)
    assert (plan.language.runtime, plan.language.kv) == ("llama", "f16")
    assert least_need(settings, experts).total_bytes <= plan.need.total_bytes
    with pytest.raises(SetupError, match="EDGE_RUNTIME=llama"):
        make_plan(replace(settings, runtime="openvino"), experts)
    with pytest.raises(SetupError, match="cannot be measured"):
        measure_variants(settings, experts, print)


def test_without_8_bit_instructions_llama_cpp_is_the_default(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = replace(host.cpu(), features=frozenset({"avx2", "fma"}))
    monkeypatch.setattr(host, "cpu", lambda: cpu)
    assert make_plan(settings, files).language.runtime == "llama"


def test_the_fastest_measured_variants_are_served(
    settings: Settings, files: ModelFiles
) -> None:
    keep_tuning(settings, files)
    plan = make_plan(settings, files)
    assert (plan.language.kernels, plan.language.kv) == (FAST, "q8_0")
    assert plan.vision.kernels == FAST
    assert plan.stage_ms == {118: 300 / 4, 475: 1700 / 4}  # of four blocks
    note, forecast = plan.notes
    assert note == "Measured on 2026-11-26."
    assert forecast.startswith("First words about a large picture")
    assert make_plan(settings, files, use_tuning=False).language.kernels != FAST


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"EDGE_RUNTIME": "llama"}, ("llama", "f16", "openvino")),
        ({"EDGE_KV": "f16"}, ("openvino", "f16", "openvino")),
        ({"EDGE_VISION": "mtmd"}, ("openvino", "q8_0", "llama")),
    ],
)
def test_settings_of_the_operator_win(
    files: ModelFiles, tmp_path: Path, said: dict[str, str], expected: tuple[str, ...]
) -> None:
    environ = {"EDGE_DATA_DIR": str(tmp_path), "EDGE_THREADS": "3"} | said
    settings = Settings.read(environ)
    keep_tuning(settings, files)
    plan = make_plan(settings, files)
    found = plan.language.runtime, plan.language.kv, plan.vision.runtime
    assert found == expected
    assert plan.language.threads == plan.vision.threads == 3


def test_an_exact_vision_encoder_is_exact(
    settings: Settings, files: ModelFiles
) -> None:
    keep_tuning(settings, files)
    plan = make_plan(replace(settings, vision="f32"), files)
    assert plan.vision.kernels == EXACT
    assert plan.forecast is None  # it was not measured


FEW, MANY = Kernels("f32", 32), Kernels("bf16", 128)
TWO = (
    language(FEW, [40, 50, 100, 400, 2000]),
    language(MANY, [80, 100, 120, 200, 500]),
    language(MANY, [81, 101, 121, 210, 510], kv="f16"),
    language(None, [90, 120, 200, 400, 900], kv="f16"),
    vision(MANY, [300, 1700]),
)


def test_a_second_graph_is_made_if_its_memory_is_free(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_tuning(settings, files, *TWO)
    plan = make_plan(settings, files)
    assert (plan.language.kernels, plan.language.kv) == (FEW, "q8_0")
    assert plan.choice.many
    assert (plan.choice.many.variant.kernels, plan.choice.many_rows) == (MANY, 24)
    set_free_memory(monkeypatch, plan.need.total_bytes - 1)
    one = make_plan(settings, files)
    assert (one.language.kernels, one.choice.many) == (MANY, None)
    assert one.child_settings == replace(settings, graphs=1)
    text_bytes = one.need.weights_bytes - files.mmproj_header.tensor_bytes
    assert plan.need.total_bytes - one.need.total_bytes == text_bytes
    set_free_memory(monkeypatch, plan.need.total_bytes)
    assert make_plan(replace(settings, graphs=1), files).choice.many is None


def test_a_cache_that_was_set_to_16_bits_is_not_shared(
    settings: Settings, files: ModelFiles
) -> None:
    keep_tuning(settings, files, *TWO)
    said = {"EDGE_KV": "f16", "EDGE_DATA_DIR": str(settings.data_dir)}
    plan = make_plan(Settings.read(said), files)
    assert (plan.language.kernels, plan.choice.many) == (MANY, None)


@pytest.mark.parametrize("form", ["f16", "f32"])
def test_an_encoder_in_many_bits_does_not_take_the_language_models_memory(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    wide = vision(Kernels("bf16", 0, form), [100, 500])
    keep_tuning(settings, files, *TWO[1:2], *TWO[3:], wide)
    plan = make_plan(settings, files)
    assert plan.vision.vision == form
    set_free_memory(monkeypatch, plan.need.total_bytes - 1)
    plan = make_plan(settings, files)
    assert (plan.language.runtime, plan.vision.vision) == ("openvino", "int8")
    assert plan.child_settings == replace(settings, vision="int8")


def test_too_little_memory_is_refused_with_the_sum(
    settings: Settings, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_free_memory(monkeypatch, RESERVE_BYTES)
    with pytest.raises(SetupError, match=r"more memory .* than the 0.0 GiB"):
        make_plan(settings, files, reserve_bytes=RESERVE_BYTES)


def test_what_a_refusal_advises_helps(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are smaller than the setting says already where memory is short."""
    shapes = replace(TINY, max_image_tokens=2048)
    pair = write_synthetic(tmp_path, shapes=shapes, n_tokens=2000)
    files = ModelFiles("pair", *pair)
    set_free_memory(monkeypatch, least_need(settings, files).total_bytes - 1)
    with pytest.raises(SetupError) as refused:
        make_plan(settings, files)
    advice = dict(re.findall(r"EDGE_(\w+)=(\d+) saves", refused.value.message))
    assert [*advice] == ["CONTEXT_TOKENS", "IMAGE_TOKENS"]
    for name, value in advice.items():
        smaller = {name.lower(): int(value), "given": frozenset({name.lower()})}
        make_plan(replace(settings, **smaller), files)


def test_files_in_the_wrong_order_are_refused(tiny: tuple[Path, Path]) -> None:
    with pytest.raises(SetupError, match="the wrong way round"):
        make_plan(Settings(), ModelFiles("pair", *reversed(tiny)))


# --- parent and child ---------------------------------------------------------------


@pytest.mark.parametrize("results", [None, (), TWO])
@given(
    extra_bytes=st.integers(-GIB, GIB) | st.integers(-20_000_000, 20_000_000),
    runtime=st.sampled_from(["auto", "openvino", "llama"]),
    threads=st.integers(0, 4),
    graphs=st.integers(1, 2),
    is_given=st.booleans(),
)
@examples(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_worker_makes_the_plan_of_its_parent(
    settings: Settings,
    files: ModelFiles,
    results: tuple[Measured, ...] | None,
    extra_bytes: int,
    runtime: str,
    threads: int,
    graphs: int,
    is_given: bool,
) -> None:
    """The parent leaves memory to other processes, of which the worker knows nothing:
    what is free for OpenVINO there may not be free here."""
    if results is not None:
        keep_tuning(settings, files, *results)
    wanted = replace(settings, runtime=runtime, threads=threads, graphs=graphs)
    if is_given:
        wanted = replace(wanted, given=frozenset({"runtime", "threads", "graphs"}))
    with pytest.MonkeyPatch.context() as patch:
        free = need_bytes(wanted, files, "openvino") + RESERVE_BYTES + extra_bytes
        set_free_memory(patch, free)
        try:
            parent = make_plan(wanted, files, reserve_bytes=RESERVE_BYTES)
        except SetupError:
            return
        child = make_plan(Settings.read(environ(parent.child_settings)), files)
    assert decisions(child) == decisions(parent)


def environ(settings: Settings) -> dict[str, str]:
    return {k: v for k, v in settings.environ().items() if k.startswith("EDGE_")}


def decisions(plan: Plan) -> Plan:
    """All but how the operator is told of it."""
    return replace(plan, settings=plan.child_settings, forced={})


# --- several models -----------------------------------------------------------------


# --- what is read and loaded --------------------------------------------------------


@pytest.fixture
def headers_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the files whose headers are read while a test runs."""
    names: list[str] = []
    read = header._Reader.header

    def counted(reader: header._Reader) -> header.Header:
        names.append(reader._path.name)
        return read(reader)

    monkeypatch.setattr(header._Reader, "header", counted)
    yield names


@pytest.mark.model
@pytest.mark.parametrize("vision", ["int8", "mtmd"])
@pytest.mark.parametrize("runtime", ["openvino", "llama"])
def test_a_start_reads_each_header_once(
    files: ModelFiles,
    towers: Path,
    headers_read: list[str],
    runtime: str,
    vision: str,
) -> None:
    chosen = Settings(runtime=runtime, vision=vision, data_dir=towers, threads=1)
    with closing(build_engine(make_plan(chosen, files))):
        assert sorted(headers_read) == ["mmproj-tiny.gguf", "tiny.gguf"]


def test_a_plan_needs_no_inference_library() -> None:
    script = "import json, sys, edge.serving.plan; print(json.dumps([*sys.modules]))"
    output = subprocess.check_output([sys.executable, "-c", script], text=True)
    libraries = {"llama_cpp", "openvino", "llguidance", "tokenizers"}
    assert not libraries & set(json.loads(output))


def test_four_bits_are_used_where_eight_do_not_fit(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = replace(TINY, hidden=256, n_heads=8, ffn=512, n_layers=24)
    model, mmproj = write_synthetic(tmp_path, shapes=shapes, n_tokens=2000)
    files = ModelFiles("four", model, mmproj)
    monkeypatch.setattr(host, "cpu", lambda: host.Cpu("VNNI", ("avx2", "avx512_vnni")))
    eight = make_plan(settings, files, use_tuning=False).need.total_bytes
    set_free_memory(monkeypatch, eight - 1)
    plan = make_plan(settings, files)
    assert plan.language.kernels is not None
    assert plan.language.kernels.weights == "u4"
    assert plan.child_settings.weights == "u4"
    assert plan.need.total_bytes < eight

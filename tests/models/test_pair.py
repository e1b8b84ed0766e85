"""Two files that do not belong together are refused before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import SetupError
from edge.gguf.header import Header, read_header
from edge.models import pair
from edge.models.pair import check_pair, image_token_range
from tests.models.small import SMALL, write_text, write_vision

BELONGS = "use the mmproj file that was published with this model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def model(folder: Path) -> Header:
    return read_header(write_text(folder))


@pytest.fixture(scope="module")
def mmproj(folder: Path) -> Header:
    return read_header(write_vision(folder))


def refusal(model: Header, mmproj: Header) -> str:
    with pytest.raises(SetupError) as caught:
        check_pair(model, mmproj)
    return caught.value.message


def says(header: Header, **values: Any) -> Header:
    """`header` with other values; __ stands for a dot in a key."""
    given = {name.replace("__", "."): value for name, value in values.items()}
    return replace(header, values={**header.values, **given})


def test_a_matching_pair_passes(model: Header, mmproj: Header) -> None:
    check_pair(model, mmproj)


def test_a_mixture_of_experts_needs_llama_cpp(
    model: Header, mmproj: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        name.replace("qwen3vl.", "qwen3vlmoe."): value
        for name, value in model.values.items()
    }
    moe = says(replace(model, values=values), general__architecture="qwen3vlmoe")
    monkeypatch.setattr(pair, "find_spec", lambda _: True)
    check_pair(moe, mmproj)
    monkeypatch.setattr(pair, "find_spec", lambda _: None)
    assert refusal(moe, mmproj) == (
        f"{model.path} is a qwen3vlmoe model, which only llama.cpp computes, and "
        "llama.cpp is not installed here. Install it with `make setup`, or use another "
        "Qwen3-VL file."
    )


def test_swapped_files(model: Header, mmproj: Header) -> None:
    assert refusal(mmproj, model) == (
        f"The two files are the wrong way round: {mmproj.path} is the vision file "
        f"(EDGE_MMPROJ) and {model.path} the language model (EDGE_MODEL)."
    )


def test_two_vision_files(mmproj: Header) -> None:
    assert refusal(mmproj, mmproj) == (
        f"{mmproj.path} is a vision file (mmproj): EDGE_MODEL needs the language model "
        "that was published with it."
    )


def test_two_language_models(model: Header) -> None:
    assert refusal(model, model) == (
        f"{model.path} is a language model: EDGE_MMPROJ needs the vision file (mmproj) "
        "that was published with the model."
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2vl", "qwen35"])
def test_a_different_architecture(
    model: Header, mmproj: Header, architecture: str
) -> None:
    other = says(model, general__architecture=architecture)
    assert refusal(other, mmproj) == (
        f"{model.path} is a {architecture} model, and this engine serves qwen3vl and "
        "qwen3vlmoe: use a Qwen3-VL file."
    )


def test_a_vocabulary_without_chat_tokens(model: Header, mmproj: Header) -> None:
    base = replace(model, marks=model.marks - {"<|vision_start|>"})
    assert refusal(base, mmproj) == (
        f"{model.path} has no token <|vision_start|>, which questions are written "
        "with: use a Qwen3-VL Instruct file."
    )


def test_a_chat_template_is_not_needed(model: Header, mmproj: Header) -> None:
    check_pair(says(model, tokenizer__chat_template=None), mmproj)


@pytest.mark.parametrize("value", [False, None])
def test_a_vision_file_without_an_encoder(
    model: Header, mmproj: Header, value: bool | None
) -> None:
    audio = says(mmproj, clip__has_vision_encoder=value)
    assert refusal(model, audio) == (
        f"{mmproj.path} holds no vision encoder: {BELONGS}"
    )


@pytest.mark.parametrize("projector", ["resampler", "qwen2.5vl_merger", None])
def test_a_different_projector(
    model: Header, mmproj: Header, projector: str | None
) -> None:
    other = says(mmproj, clip__projector_type=projector)
    assert refusal(model, other) == (
        f"{mmproj.path} is a {projector} and {model.path} takes a qwen3vl_merger: "
        f"{BELONGS}"
    )


def test_the_projector_of_a_file_with_audio(model: Header, mmproj: Header) -> None:
    both = {
        "clip__projector_type": "",
        "clip__vision__projector_type": "qwen3vl_merger",
    }
    check_pair(model, says(mmproj, **both))


def test_a_different_embedding_width(
    model: Header, mmproj: Header, tmp_path: Path
) -> None:
    wide = read_header(write_vision(tmp_path, replace(SMALL, hidden=128)))
    assert refusal(model, wide) == (
        f"{wide.path} makes embeddings of 128 numbers and {model.path} takes 64: "
        f"{BELONGS}"
    )


def test_a_different_number_of_deepstack_layers(model: Header, tmp_path: Path) -> None:
    other = replace(SMALL, deepstack_blocks=(0, 1, 2))
    deep = read_header(write_vision(tmp_path, other))
    assert refusal(model, deep) == (
        f"{deep.path} has 3 deepstack layers and {model.path} takes 2: {BELONGS}"
    )


def test_no_deepstack_layers_on_both_sides(tmp_path: Path) -> None:
    flat = replace(SMALL, deepstack_blocks=())
    files = write_text(tmp_path, flat), write_vision(tmp_path, flat)
    check_pair(*map(read_header, files))


def test_image_tokens_of_another_size(model: Header, mmproj: Header) -> None:
    assert refusal(model, says(mmproj, clip__vision__patch_size=14)) == (
        f"{mmproj.path} makes a token of 28x28 pixels and this engine of 32x32: use a "
        "Qwen3-VL file."
    )


def test_the_image_token_range(mmproj: Header, tmp_path: Path) -> None:
    trained = replace(SMALL, min_image_tokens=16, max_image_tokens=64)
    assert image_token_range(read_header(write_vision(tmp_path, trained))) == (16, 64)
    assert image_token_range(mmproj) is None

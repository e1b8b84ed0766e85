"""`synthetic-2b` as a Hugging Face folder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.peers.hf_folder import write_hf_folder
from edge.gguf.synthetic import N_TOKENS, synthetic_vocabulary


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("hf") / "new"
    write_hf_folder(folder)
    return {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_every_token_has_the_id_of_the_gguf_file(files: dict[str, Any]) -> None:
    tokenizer = files["tokenizer.json"]
    plain = tokenizer["model"]["vocab"]
    control = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    tokens = synthetic_vocabulary(N_TOKENS).tokens
    assert plain | control == {token: n for n, token in enumerate(tokens)}
    assert len(tokens) == N_TOKENS


def test_the_merges_give_known_tokens(files: dict[str, Any]) -> None:
    model = files["tokenizer.json"]["model"]
    assert all(left + right in model["vocab"] for left, right in model["merges"])


def test_the_control_tokens_of_the_configuration_are_qwens(
    files: dict[str, Any],
) -> None:
    config = files["config.json"]
    assert config["image_token_id"] == 151655
    assert config["text_config"]["eos_token_id"] == 151645
    assert files["generation_config.json"]["eos_token_id"] == 151645

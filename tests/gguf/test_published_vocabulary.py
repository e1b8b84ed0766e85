"""Qwen's published vocabulary, and what is refused in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import SetupError
from edge.gguf.published_vocabulary import read_vocabulary
from edge.gguf.synthetic import N_TOKENS, write_synthetic
from edge.gguf.tokenizer import read_tokenizer
from tests.gguf.test_synthetic import SMALL

FILE: dict[str, Any] = {
    "model": {"vocab": {"b": 1, "a": 0, "ab": 2}, "merges": [["a", "b"]]},
    "added_tokens": [{"content": "<|im_end|>", "id": 3}, {"content": "<t>", "id": 4}],
}


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_tokens_are_in_the_order_of_their_ids_and_padded(tmp_path: Path) -> None:
    words = read_vocabulary(written(tmp_path / "tokenizer.json", FILE), 6)
    assert words.tokens == ("a", "b", "ab", "<|im_end|>", "<t>", "<|unused_0|>")
    assert [kind.name for kind in words.types] == [
        *["NORMAL"] * 3,
        *("CONTROL", "USER_DEFINED", "CONTROL"),
    ]
    assert words.merges == (("a", "b"),)


def test_the_older_form_of_merges(tmp_path: Path) -> None:
    older = FILE | {"model": FILE["model"] | {"merges": ["a b"]}}
    path = written(tmp_path / "tokenizer.json", older)
    assert read_vocabulary(path, 5).merges == (("a", "b"),)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        FILE | {"model": {"vocab": ["a"], "merges": []}},
        FILE | {"model": FILE["model"] | {"merges": ["a"]}},
        FILE | {"model": FILE["model"] | {"vocab": {"a": 0, "b": 2, "ab": 1.5}}},
        FILE | {"added_tokens": [{"content": "<|im_end|>", "id": 9}]},
        FILE | {"added_tokens": [{"content": "a", "id": 3}] * 9},
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path / "tokenizer.json", content)
    with pytest.raises(SetupError, match=r"tokenizer\.json of a Qwen3-VL\.$"):
        read_vocabulary(path, 6)


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        read_vocabulary(tmp_path / "none.json", 6)


def test_a_synthetic_model_may_have_the_true_vocabulary(
    qwen3: Path, tmp_path: Path
) -> None:
    words = read_vocabulary(qwen3 / "tokenizer.json", N_TOKENS)
    text, _ = write_synthetic(tmp_path, shapes=SMALL, words=words)
    found = read_tokenizer(text)
    assert len(found.pieces) == N_TOKENS
    assert found.tokenize("图片 pictures", special=False) == [45930, 9185]
    invented = write_synthetic(tmp_path, shapes=SMALL)  # takes its place
    tokens = read_tokenizer(invented[0]).tokenize("图片 pictures", special=False)
    assert tokens != [45930, 9185]

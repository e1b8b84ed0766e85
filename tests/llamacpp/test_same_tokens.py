"""The tokenizer gives the tokens of llama.cpp, with the tiny vocabulary and Qwen's.

Except where Qwen's own tokenizer differs from llama.cpp: a long s is the s of a
contraction ('ſ), and </s>, with which other families end an answer, is a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gguf.tokenizer import BpeTokenizer, read_tokenizer
from edge.gguf.vocabulary import CONTROL
from tests.llamacpp.reference import LlamaVocabulary

pytestmark = pytest.mark.model


@dataclass
class Both:
    ours: BpeTokenizer
    theirs: LlamaVocabulary

    def agree(self, text: str) -> None:
        for special in (False, True) if "</s>" not in text else (False,):
            theirs = self.theirs.tokenize(text, special=special)
            assert self.ours.tokenize(text, special=special) == theirs


@pytest.fixture(scope="module", params=["tiny", "qwen3"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    files = {"tiny": lambda: request.getfixturevalue("tiny")[0]}
    files["qwen3"] = lambda: request.getfixturevalue("qwen3_gguf")
    path: Path = files[request.param]()
    with closing(LlamaVocabulary(path)) as theirs:
        yield Both(read_tokenizer(path), theirs)


CODE = """
def f(x):\r\n\treturn {"a": [x**2, 0x1F, 1_000.5e-3]}  # it's OK, we'LL see\r
    \r\n\n  <div class="a">&nbsp;</div></s>\t\t\n
"""
PARTS = st.sampled_from(
    [
        *CONTROL,
        *("<|im_end", "|>", "<|", "<|im_start|><|im_end|>", "<think>", "</s>", CODE),
        *("'s", "'RE", "it'll", "''d", " red", "circle", "圆形", "左上角", "。"),
        *(" " * 40, "\n" * 9, " \r\n \n", "\t \u3000\u00a0 x", "\u2028", "\x85", "\0"),
        *(
            "e\u0301",
            "\u0301",
            "क्षि",
            "각",
            "ｱﾞ",
            "👩‍👩‍👧🏽",
            "🇨🇳",
            "\ufffd",
            "\U0010ffff",
        ),
        *("a" * 300, "1234567890", "٣½Ⅷ", "+-" * 60, "İıß", "\u202e\ufeff\u200d"),
    ]
)
TEXTS = (
    st.lists(PARTS | st.text(max_size=8), max_size=12)
    .map("".join)
    .filter(lambda text: "'ſ" not in text)
)


@given(TEXTS)
def test_of_any_text(both: Both, text: str) -> None:
    both.agree(text)


def test_of_each_assigned_character_beside_others(both: Both) -> None:
    """What is a letter, a number or white space, both must know alike."""
    chars = [chr(n) for n in range(0x20000) if not 0xD800 <= n < 0xE000]
    chars.remove("ſ")
    chars += [chr(n) for n in range(0x20000, sys.maxunicode, 997)]
    for begin in range(0, len(chars), 4096):
        part = chars[begin : begin + 4096]
        text = "".join(f"a{c}b {c}{c} 1{c}2 .{c}. \n{c} '{c}e\n {c}" for c in part)
        assert both.ours.tokenize(text, special=False) == both.theirs.tokenize(
            text, special=False
        )


def test_pieces_and_ends_are_the_same(both: Both) -> None:
    tokens = [n for n in range(both.theirs.n_vocab) if both.ours.piece(n) != b"</s>"]
    assert len(tokens) >= both.theirs.n_vocab - 1
    assert [*map(both.ours.piece, tokens)] == [*map(both.theirs.piece, tokens)]
    assert both.ours.ends == [*filter(both.theirs.is_end, tokens)]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_a_character_is_refused(both: Both, text: str) -> None:
    """The web process refuses it; nothing is made of it here either."""
    for tokenizer in (both.ours, both.theirs):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            tokenizer.tokenize(text, special=False)

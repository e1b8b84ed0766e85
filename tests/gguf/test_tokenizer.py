"""Text to tokens and back, by the vocabulary of a GGUF file."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import psutil
import pytest
from gguf import GGUFWriter, TokenType

from edge.errors import SetupError
from edge.gguf.header import read_header
from edge.gguf.tokenizer import BpeTokenizer, read_tokenizer
from edge.gguf.vocabulary import CONTROL, LETTERS, learn
from training.vocabulary import vocabulary

TEXTS = [
    "There are 3 red circles, aren't there?\n\n\tYes: \\o/ {'a': [1.5]}  ",
    "图片里有三个红色的圆形，左边是一只猫。龘",
    "naïve café, Ελλάδα, привет, 👩‍👩‍👧 \u200b",
]
WORDS = learn(["red", " red", "</s>"])
N, U, C = TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.CONTROL


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny: tuple[Path, Path]) -> BpeTokenizer:
    return read_tokenizer(tiny[0])


def tokenizer(**added: TokenType) -> BpeTokenizer:
    """Over WORDS without control tokens, and `added` ones: `a` is named <|a|>."""
    tokens = [*WORDS.plain, "<|im_end|>", *(f"<|{name}|>" for name in added)]
    types = [N] * len(WORDS.plain) + [C, *added.values()]
    return BpeTokenizer(tokens, types, WORDS.merges)


def write(path: Path, **changed: Any) -> Path:
    """A file of a small vocabulary; of `changed` metadata, None removes one."""
    metadata: dict[str, Any] = {
        "model": "gpt2",
        "pre": "qwen2",
        "token_list": [*WORDS.tokens],
        "token_types": [N] * len(WORDS.plain) + [C] * len(CONTROL),
        "token_merges": [" ".join(pair) for pair in WORDS.merges],
        "eos_token_id": WORDS.id_of("<|im_end|>"),
    }
    file = GGUFWriter(path, "qwen3vl")
    for name, value in (metadata | changed).items():
        if value is not None:
            add = f"add_{name}" if "token_" in name else f"add_tokenizer_{name}"
            getattr(file, add)(value)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


@pytest.mark.parametrize("text", ["", "\0", " ", *TEXTS])
def test_any_text_survives(tiny_tokenizer: BpeTokenizer, text: str) -> None:
    tokens = tiny_tokenizer.tokenize(text, special=False)
    assert b"".join(map(tiny_tokenizer.piece, tokens)).decode() == text


@pytest.mark.parametrize("control", CONTROL)
def test_only_the_template_makes_control_tokens(
    tiny_tokenizer: BpeTokenizer, control: str
) -> None:
    words = vocabulary()
    [token] = tiny_tokenizer.tokenize(control, special=True)
    assert token == words.id_of(control)
    assert tiny_tokenizer.piece(token) == b""
    typed = tiny_tokenizer.tokenize(control, special=False)
    assert len(typed) > 1 and token not in typed


def test_answers_end_as_qwen_ends_them(tiny_tokenizer: BpeTokenizer) -> None:
    names = {vocabulary().tokens[end] for end in tiny_tokenizer.ends}
    assert names == {"<|im_end|>", "<|endoftext|>"}


def test_the_words_of_the_tiny_model_are_one_token_each(
    tiny_tokenizer: BpeTokenizer,
) -> None:
    for text in ("What", " colour", " picture", "圆形", "红色", "左上角"):
        assert len(tiny_tokenizer.tokenize(text, special=False)) == 1


def test_a_word_that_other_families_end_with_ends_no_answer() -> None:
    """`</s>` is a word of Qwen's vocabulary, and the end of a strike-out in HTML."""
    one = tokenizer()
    assert one.pieces.index(b"</s>") not in one.ends


def test_user_defined_tokens_are_text_but_names_of_control_tokens_are_not() -> None:
    tokens = [*WORDS.plain, "<|im_end|>", "<think>", "<|fim_middle|>"]
    one = BpeTokenizer(tokens, [N] * len(WORDS.plain) + [C, U, U], WORDS.merges)
    n = len(tokens)
    think, middle = n - 2, n - 1
    assert one.tokenize("<think>", special=False) == [think]
    assert one.piece(think) == b"<think>"
    assert middle not in one.tokenize("<|fim_middle|>", special=False)
    assert one.tokenize("red<|fim_middle|>", special=True)[-1] == middle
    assert one.piece(middle) == b""


def test_unused_tokens_have_no_text() -> None:
    one = tokenizer(pad=TokenType.UNUSED)
    assert one.pieces[-1] == b""
    assert len(one.tokenize("<|pad|>", special=True)) > 1


def test_other_threads_run_while_a_long_text_is_split(
    tiny_tokenizer: BpeTokenizer,
) -> None:
    text = "a red circle " * 30_000

    def gives_way() -> bool:
        """Whether this thread runs before the other has ended."""
        thread = threading.Thread(
            target=lambda: tiny_tokenizer.tokenize(text, special=False)
        )
        thread.start()
        is_seen = thread.is_alive()
        thread.join()
        return is_seen

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(60)  # Python makes nobody give way
    try:
        # on a busy machine the other may have ended, though it gave way
        assert any(gives_way() for _ in range(10))
    finally:
        sys.setswitchinterval(interval_s)


def test_words_of_earlier_prompts_are_not_kept(tiny_tokenizer: BpeTokenizer) -> None:
    """The library would keep 10,000 words with their tokens: 80 MB of such ones."""
    draws = random.Random(1)

    def read_prompt() -> int:
        words = ("".join(draws.choices(ascii_lowercase, k=250)) for _ in range(500))
        tiny_tokenizer.tokenize(" ".join(words), special=False)
        return psutil.Process().memory_full_info().uss

    first = read_prompt()
    assert max(read_prompt() for _ in range(6)) < first + (12 << 20)


def test_a_file_gives_the_tokens_that_were_written(tmp_path: Path) -> None:
    one = read_tokenizer(write(tmp_path / "v.gguf"))
    assert one.pieces[: len(LETTERS)] == [bytes([byte]) for byte in LETTERS]
    assert one.pieces[-len(CONTROL) :] == [b""] * len(CONTROL)
    assert one.tokenize(" red", special=False) == [WORDS.id_of("Ġred")]


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "llama"},
        {"pre": "llama-bpe"},
        {"pre": None},
        {"token_list": None},
        {"token_list": [*WORDS.tokens[:-1], "red"]},
        {"token_list": [*range(len(WORDS.tokens))]},
        {"token_list": ["龘", *WORDS.tokens[1:]]},
        {"token_types": None},
        {"token_types": [N]},
        {"token_merges": None},
        {"token_merges": ["nosuch pair"]},
        {"token_merges": ["r"]},
        {"token_merges": [1, 2]},
        {"eos_token_id": 1 << 20},
    ],
)
def test_an_unusable_vocabulary_is_one_clear_sentence(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    path = write(tmp_path / "v.gguf", **changed)
    read_header(path)
    with pytest.raises(SetupError, match=r"v\.gguf.*\.$"):
        read_tokenizer(path)

"""The tokenizer of a GGUF file: Qwen's byte-level BPE, computed by `tokenizers`.

Gives the tokens of Qwen's own tokenizer (`tokenizer.json` of Qwen3-VL), except that the
prompt is normalised where it is written, in `edge.qwen3vl.chat`: GGUF has no field for
that, and llama.cpp (`src/llama-vocab.cpp`), which has the same tokens, does not do it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from gguf import TokenType
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

from edge.errors import SetupError
from edge.gguf.header import read_metadata
from edge.gguf.signature import AGAIN
from edge.gguf.vocabulary import LETTERS, Pair

TOKENS: Final = "tokenizer.ggml.tokens"
TYPES: Final = "tokenizer.ggml.token_type"
MERGES: Final = "tokenizer.ggml.merges"
# How `qwen2` splits text into words: Qwen's pattern in its `tokenizer.json`. llama.cpp
# knows ASCII letters alone in contractions; `(?i)` includes U+017F, a long s.
WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Tokens that end an answer, beside those that the metadata name. llama.cpp has names of
# all families, `</s>` among them, which is a common word in Qwen's vocabulary.
END_NAMES: Final = (
    *("<|endoftext|>", "<|im_end|>"),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)
END_KEYS: Final = ("eos_token_id", "eot_token_id", "eom_token_id")

_ADDED: Final = (TokenType.USER_DEFINED, TokenType.CONTROL)
_BYTES: Final = {ord(letter): byte for byte, letter in LETTERS.items()}


class BpeTokenizer:
    """A Tokenizer (`edge.engine.protocols`) over `tokens` and their `types`
    (gguf.TokenType), which joins neighbours in the order of `merges`.

    `pieces` are the bytes of each token, none for a control token; `ends` are the
    tokens that end an answer, those of `END_NAMES` and `other_ends`. Raises ValueError
    when the parts do not fit together.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        types: Sequence[int],
        merges: Sequence[Pair],
        other_ends: Collection[int] = (),
    ) -> None:
        ids = {token: n for n, token in enumerate(tokens)}
        if not len(ids) == len(tokens) == len(types):
            raise ValueError("a token is missing or occurs twice")
        named = [ids[name] for name in END_NAMES if name in ids]
        self.ends = sorted({*named, *other_ends})
        if not self.ends or self.ends[-1] >= len(tokens):
            raise ValueError("no token ends an answer")
        kinds = [*map(_kind, tokens, types)]
        for end in self.ends:
            kinds[end] = TokenType.CONTROL
        self.pieces = [*map(_piece, tokens, kinds)]
        self.n_vocab = len(self.pieces)
        added = {n: kind for n, kind in enumerate(kinds) if kind in _ADDED}
        self._ids = {tokens[n]: n for n in added}
        self._names = {n: tokens[n] for n, p in enumerate(self.pieces) if not p}
        self._special = _any_of([tokens[n] for n in added])
        self._user_defined = _any_of(
            [tokens[n] for n in added if added[n] == TokenType.USER_DEFINED]
        )
        try:
            # Its cache of 10,000 words brings nothing, and took up to 86 MB.
            self._bpe = Tokenizer(BPE(ids, [*merges], cache_capacity=0))
        except Exception as error:  # the library has no class of its own
            raise ValueError(str(error)) from None
        self._bpe.pre_tokenizer = Steps(
            [
                Split(Regex(WORDS), "isolated"),
                ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """As `Tokenizer.tokenize`. User-defined tokens like <think> are text: they are
        found with and without `special`. Other threads run meanwhile."""
        pattern = self._special if special else self._user_defined
        *parts, rest = pattern.split(text)
        texts, names = [*parts[::2], rest], parts[1::2]
        # unlike `encode`, it releases the interpreter
        encoded = self._bpe.encode_batch_fast(texts, add_special_tokens=False)
        tokens: list[int] = []
        for part, name in zip_longest(encoded, names):
            tokens += part.ids
            if name:
                tokens.append(self._ids[name])
        return tokens

    def piece(self, token: int) -> bytes:
        """As `Tokenizer.piece`."""
        return self.pieces[token]

    def label(self, token: int) -> bytes:
        """As `Tokenizer.label`."""
        return self.pieces[token] or self._names[token].encode()


def read_tokenizer(path: Path) -> BpeTokenizer:
    """The tokenizer of the language model in the GGUF file at `path`: 0.5 s and 60 MB
    for the 151,936 tokens of Qwen3-VL. Raises SetupError."""
    values = read_metadata(path, keep={TOKENS, TYPES, MERGES})
    kind = values.get("tokenizer.ggml.model"), values.get("tokenizer.ggml.pre")
    if kind != ("gpt2", "qwen2"):
        raise SetupError(
            f"{path} has a tokenizer {kind}, and this engine knows Qwen's (gpt2, "
            "qwen2): use a GGUF file of Qwen3-VL."
        )
    ends = (values.get(f"tokenizer.ggml.{name}") for name in END_KEYS)
    try:
        return BpeTokenizer(
            values[TOKENS],
            values[TYPES],
            [_pair(merge) for merge in values[MERGES]],
            [end for end in ends if end is not None],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SetupError(
            f"{path} has a vocabulary that cannot be used ({error}): {AGAIN}."
        ) from None


def _pair(merge: str) -> Pair:
    left, _, right = str.partition(merge, " ")
    return left, right


def _kind(token: str, kind: int) -> int:
    """Qwen's files call some control tokens user-defined, <|fim_pad|> for example."""
    is_named_so = str.startswith(token, "<|") and token.endswith("|>")
    is_user_defined = kind == TokenType.USER_DEFINED
    return TokenType.CONTROL if is_user_defined and is_named_so else kind


def _piece(token: str, kind: int) -> bytes:
    """The bytes of a token: normal ones are spelled in byte letters."""
    if kind == TokenType.NORMAL:
        return str.translate(token, _BYTES).encode("latin-1")
    return token.encode() if kind == TokenType.USER_DEFINED else b""


def _any_of(names: list[str]) -> re.Pattern[str]:
    """Finds the names in a text, the longest that begins first; captures each."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

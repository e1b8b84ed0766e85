"""Text to token ids in training, equal to llama.cpp's."""

from __future__ import annotations

from functools import cached_property, lru_cache

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from edge.gguf.vocabulary import LETTERS, Vocabulary
from training.vocabulary import vocabulary

# How Qwen2 and its successors split text before merges (their tokenizer.json).
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Tokens:
    """The tiny model's tokenizer."""

    def __init__(self, words: Vocabulary | None = None) -> None:
        words = words or vocabulary()
        self._ids = {token: n for n, token in enumerate(words.tokens)}
        plain = {token: self._ids[token] for token in words.plain}
        bpe = Tokenizer(BPE(plain, list(words.merges)))
        bpe.pre_tokenizer = Sequence(
            [
                Split(Regex(QWEN2), "isolated"),
                ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self._plain = bpe
        self._control = Tokenizer.from_str(bpe.to_str())
        self._control.add_special_tokens(
            [AddedToken(token, special=True) for token in words.control]
        )
        self._bytes = {letter: byte for byte, letter in LETTERS.items()}
        self._texts = words.tokens
        self.encode = lru_cache(50_000)(self._encode)

    @property
    def n_tokens(self) -> int:
        return len(self._texts)

    @cached_property
    def image(self) -> int:
        return self.id_of("<|image_pad|>")

    @cached_property
    def end(self) -> int:
        return self.id_of("<|im_end|>")

    def id_of(self, token: str) -> int:
        return self._ids[token]

    def _encode(self, text: str) -> tuple[int, ...]:
        """Names of control tokens in `text` stay text."""
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    @lru_cache(1000)  # noqa: B019 - one Tokens lives as long as the process
    def template(self, text: str) -> tuple[int, ...]:
        """Names of control tokens in `text` are control tokens."""
        return tuple(self._control.encode(text, add_special_tokens=False).ids)

    def spell(self, text: str) -> tuple[int, ...]:
        """One token per letter, as the model writes text that it reads in a picture."""
        return tuple(self._ids[LETTERS[byte]] for byte in text.encode())

    def decode(self, ids: list[int]) -> str:
        letters = "".join(self._texts[n] for n in ids)
        return bytes(self._bytes[letter] for letter in letters).decode(errors="replace")

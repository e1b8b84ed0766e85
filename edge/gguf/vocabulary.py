"""Byte-level BPE vocabularies in the form that Qwen's GGUF files hold them.

The byte letters that GPT-2 introduced and Qwen kept, the learning of merges, Qwen's
control tokens in Qwen's order, and a chat template that uses them. The tokenizer is in
`edge.gguf.tokenizer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gguf import TokenType

CONTROL: Final = (
    "<|endoftext|>",  # also the padding, and the start of text, which is never added
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CHAT_TEMPLATE: Final = """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n' -}}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type in ('image', 'image_url') -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- else -%}
                {{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

Pair = tuple[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids: bytes and results of merges, then added ones:
    control tokens, named like <|im_end|>, and others like <tool_call>, which are text.
    """

    plain: tuple[str, ...]
    added: tuple[str, ...]
    merges: tuple[Pair, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.plain + self.added

    @property
    def types(self) -> list[TokenType]:
        """The type of each token, as GGUF files state it."""
        text, control = TokenType.USER_DEFINED, TokenType.CONTROL
        added = [control if name.startswith("<|") else text for name in self.added]
        return [TokenType.NORMAL] * len(self.plain) + added

    def id_of(self, token: str) -> int:
        return self.tokens.index(token)


def learn(words: Iterable[str]) -> Vocabulary:
    """A vocabulary in which each of `words` is one token; equal words in the same order
    give an equal vocabulary."""
    merges = _learn_merges(map(spell, words))
    # Two merges may build the same text, but a text has one id.
    plain = dict.fromkeys([*LETTERS.values(), *(a + b for a, b in merges)])
    return Vocabulary(tuple(plain), CONTROL, merges)


def _byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte, in the order of their ids."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}


LETTERS: Final = _byte_letters()


def spell(text: str) -> str:
    """The bytes of `text` as the letters that stand for them."""
    return "".join(LETTERS[byte] for byte in text.encode())


def _learn_merges(words: Iterable[str]) -> tuple[Pair, ...]:
    """Merge the most frequent pair of neighbours until every word is one token."""
    spelled = [list(word) for word in words]
    merges: list[Pair] = []
    while pairs := Counter(pair for word in spelled for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_join(word, best) for word in spelled if len(word) > 1]
    return tuple(merges)


def _join(word: list[str], pair: Pair) -> list[str]:
    joined: list[str] = []
    for piece in word:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined

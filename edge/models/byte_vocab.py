"""The vocabulary of the tiny model: every byte, and words that describe pictures.

It knows the byte letters that GPT-2 introduced and Qwen kept, how byte-level BPE
learns its merges, Qwen's control tokens in Qwen's order, and a chat template that
uses them. It knows no weights and no file format, and it does not tokenise:
llama.cpp does that, after splitting the text the way `qwen2` does.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

# Each is one token at the start of a text, and one token after a space.
ENGLISH: Final = """
    a an the this that it one two three four five six is are has of in on at and or
    with no not there what how many where which do you see can count describe answer
    picture image photo shows shape colour color object background
    circle square triangle star rectangle line dot cross heart ring
    red green blue yellow orange purple pink black white grey brown
    left right top bottom middle centre corner side above below behind beside between
    under over near next to inside outside around
    big small large tiny tall short long round dark light bright plain empty same
    person man woman child dog cat bird horse car bus bike boat tree flower grass sky
    sea road house wall door window table chair cup plate book
"""

# Chinese puts no space between words: each is one token wherever it stands alone.
CHINESE: Final = """
    图片 照片 画面 这 那 张 里 中 有 没有 是 不 的 和 在 个 只 什么 多少 几
    请 描述 显示 看到 一 二 两 三 四 五 六
    圆形 方形 三角形 五角星 长方形 形状 颜色 背景 物体
    红色 绿色 蓝色 黄色 橙色 紫色 粉色 黑色 白色 灰色 棕色
    左边 右边 上面 下面 中间 旁边 前面 后面 大 小 高 长 亮 暗 圆
    人 男人 女人 孩子 狗 猫 鸟 马 车 船 树 花 草地 天空 海 路
    房子 门 窗 桌子 椅子 杯子 书
"""

ROLES: Final = "system user assistant"

CONTROL: Final = (
    "<|endoftext|>",  # also the padding, and the begin of text that is never added
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
    """Tokens in the order of their ids: bytes, what merges build, control tokens."""

    plain: tuple[str, ...]
    control: tuple[str, ...]
    merges: tuple[Pair, ...]
    english: tuple[int, ...]  # ids of whole words, those after a space
    chinese: tuple[int, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.plain + self.control

    def id_of(self, token: str) -> int:
        return self.tokens.index(token)


@cache
def picture_vocabulary() -> Vocabulary:
    """The one vocabulary of the tiny model, the same on every machine."""
    starts = [_spell(word) for word in (ENGLISH + ROLES).split()]
    english = [_spell(f" {word}") for word in ENGLISH.split()]
    chinese = [_spell(word) for word in CHINESE.split()]
    merges = _learn_merges([*starts, *english, *chinese])
    # Two merges may build the same text, but a text has one id.
    plain = dict.fromkeys(
        [*LETTERS.values(), *(left + right for left, right in merges)]
    )
    id_of = {text: n for n, text in enumerate(plain)}
    return Vocabulary(
        tuple(plain),
        CONTROL,
        merges,
        english=tuple(map(id_of.__getitem__, english)),
        chinese=tuple(map(id_of.__getitem__, chinese)),
    )


def _byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte, in the order of their ids."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}


LETTERS: Final = _byte_letters()


def _spell(text: str) -> str:
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

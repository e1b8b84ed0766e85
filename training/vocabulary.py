"""The vocabulary of the tiny model: every byte, and the words of its questions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import Final

from edge.gguf.vocabulary import Vocabulary, learn
from training.chinese import IN_CHINESE
from training.english import AT, ENGLISH, PLURALS
from training.scenes import COLOURS, SHAPES

# Chinese has no spaces between words: these are always one token.
CHINESE_WORDS: Final = """
    请 描述 这张 图片 的 内容 一下 图中 图片里 里 中 有 有什么 什么 你 看到 了
    这 是 显示 这是 图形 物体 形状 颜色 位置 哪里 哪个 哪一个 多少 几个 个 一共
    数一数 吗 没有 它 它的 在 一个 说出 和 那么 更大 更小 大 小 最大的 最小的
    提取 文字 字 写了 写的是 写着 上面 。 ？ ， ！ 读出 这里 数字 我 只 认识
    简单的 只有 你好 谢谢 还是 狗 猫 人 谁 照片
"""

ROLES: Final = "system user assistant"


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of the tiny model, equal on every machine."""
    return learn(_words())


def _words() -> list[str]:
    """Words of one token each: English after a space and at the start of a text."""
    english = {*COLOURS, *SHAPES, *PLURALS.values(), *ROLES.split()}
    for text in [*AT.values(), *_texts(ENGLISH)]:
        english |= set(re.findall("[A-Za-z]+", re.sub(r"\{.*?\}", "", text)))
    english |= {word.capitalize() for word in (*COLOURS, "At", "On", "In", "The")}
    chinese = {*IN_CHINESE.values(), *CHINESE_WORDS.split()}
    spaced = {f" {word}" for word in english}
    return sorted(english) + sorted(spaced) + sorted(chinese)


def _texts(phrases: object) -> Iterable[str]:
    for field in fields(phrases):  # type: ignore[arg-type]
        value = getattr(phrases, field.name)
        yield from [value] if isinstance(value, str) else value

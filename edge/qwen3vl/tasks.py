"""Ready tasks: prompts in English and Chinese, and how their answers are computed.
Pure.

Those for text and places are the words of Qwen3-VL's cookbooks, which it knows best. A
task that reads long texts is sampled as its authors recommend: there the likeliest
token leads into loops more often.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from edge.errors import InvalidRequest
from edge.images import Detail
from edge.qwen3vl.sampling import RECOMMENDED

Language = Literal["en", "zh"]
WORDS: Final = "{words}"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")


@dataclass(frozen=True)
class Task:
    """A question that is ready to ask. `{words}` in its prompt are a person's; `words`
    stand there if there are none. Other prompts have them behind.

    It makes sense for `n_pictures` or more. With `is_prose` the answer is in the
    language of the prompt. If there is a `schema`, the answer is JSON that fits it.
    Tasks of several formats have the first part of their names in common.
    """

    name: str
    prompts: Mapping[Language, str]
    words: Mapping[Language, str] | None = None
    detail: Detail = "auto"
    max_tokens: int = 512
    is_sampled: bool = False
    is_prose: bool = False
    n_pictures: int = 1
    schema: Mapping[str, Any] | None = None
    format: str = ""

    @property
    def sampling(self) -> dict[str, Any]:
        """Fields of `SamplingParams` that are not their defaults."""
        return dict(RECOMMENDED) if self.is_sampled else {}

    def prompt(self, words: str) -> str:
        """The prompt with a person's words, in their language."""
        words = words.strip()
        is_chinese = _CHINESE.search(words) and not _KANA.search(words)
        language: Language = "zh" if is_chinese else "en"
        prompt = self.prompts[language]
        if self.words is None:
            return f"{prompt}\n{words}" if words else prompt
        return prompt.replace(WORDS, words or self.words[language])

    def to_json(self) -> dict[str, Any]:
        """As `GET /v1/models/{id}` shows it."""
        return {
            "id": self.name,
            "object": "task",
            "prompt": dict(self.prompts),
            "words": self.words and dict(self.words),
            "detail": self.detail,
            "max_tokens": self.max_tokens,
            "sampling": self.sampling,
            "is_prose": self.is_prose,
            "pictures": self.n_pictures,
            "schema": self.schema,
            "format": self.format,
        }


_TEXT: Final = {"type": "string"}
_FIELD: Final = {
    "type": "object",
    "properties": {"name": _TEXT, "value": _TEXT},
    "required": ["name", "value"],
}
_FIELDS: Final = {
    "type": "object",
    "properties": {
        "kind": _TEXT,
        "fields": {"type": "array", "items": _FIELD, "maxItems": 60},
    },
    "required": ["kind", "fields"],
}
_LONG: Final = 2048  # tokens: a page of text

TASKS: Final = {
    task.name: task
    for task in (
        Task(
            "describe",
            {"en": "Describe this picture.", "zh": "请描述这张图片的内容。"},
            is_prose=True,
        ),
        Task(
            "read",
            {"en": "Read all the text in the image.", "zh": "读出图片中的所有文字。"},
            detail="high",
            max_tokens=_LONG,
            is_sampled=True,
        ),
        Task(
            "table",
            {
                "en": "Write the table in this picture as a Markdown table.",
                "zh": "把图片中的表格写成 Markdown 表格。",
            },
            format="Markdown",
            detail="high",
            max_tokens=_LONG,
            is_sampled=True,
        ),
        Task(
            "table-csv",
            {
                "en": "Write the table in this picture as CSV, and nothing else.",
                "zh": "把图片中的表格写成 CSV，不要写其他内容。",
            },
            format="CSV",
            detail="high",
            max_tokens=_LONG,
            is_sampled=True,
        ),
        Task(
            "table-html",
            {
                "en": "Write the table in this picture as an HTML table, and nothing "
                "else.",
                "zh": "把图片中的表格写成 HTML 表格，不要写其他内容。",
            },
            format="HTML",
            detail="high",
            max_tokens=_LONG,
            is_sampled=True,
        ),
        Task(
            "fields",
            {
                "en": "Write the fields of this document as JSON.",
                "zh": "把这份文件的各个字段写成 JSON。",
            },
            detail="high",
            max_tokens=1024,
            schema=_FIELDS,
        ),
        Task(
            "locate",
            {
                "en": "Locate every instance that belongs to the following categories: "
                '"{words}". Report bbox coordinates in JSON format.',
                "zh": '检测图中所有"{words}"，并以JSON格式输出其bbox坐标。',
            },
            {"en": "main object", "zh": "主要物体"},
            detail="high",
            max_tokens=1024,
        ),
        Task(
            "count",
            {
                "en": "How many {words} are there in this picture?",
                "zh": "这张图片里有多少{words}？",
            },
            {"en": "objects", "zh": "个物体"},
            detail="high",
            max_tokens=64,
            is_prose=True,
        ),
        Task(
            "compare",
            {
                "en": "Compare these pictures: what is equal, what is different?",
                "zh": "比较这些图片：哪些相同，哪些不同？",
            },
            is_prose=True,
            n_pictures=2,
        ),
        Task(
            "translate",
            {
                "en": "Translate the text in this picture into {words}.",
                "zh": "把图片中的文字翻译成{words}。",
            },
            {"en": "English", "zh": "中文"},
            detail="high",
            max_tokens=_LONG,
            is_sampled=True,
        ),
        Task(
            "inspect",
            {
                "en": "What is wrong here? Name defects, errors and dangers, and where "
                "they are.",
                "zh": "这里有什么问题？请指出缺陷、错误和危险，以及它们的位置。",
            },
            is_prose=True,
        ),
    )
}


def find_task(name: str) -> Task:
    """Raises InvalidRequest, with all names, for one that is none."""
    if task := TASKS.get(name):
        return task
    raise InvalidRequest(
        f"There is no task {name[:40]!r}. Tasks: {', '.join(TASKS)}.", param="task"
    )

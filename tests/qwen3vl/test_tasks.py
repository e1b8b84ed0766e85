"""Ready tasks: in both languages, and with a person's words in their place."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from edge.errors import InvalidRequest
from edge.qwen3vl.tasks import TASKS, WORDS, Language, Task, find_task
from edge.schemas.reading import read

ALL = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@ALL
def test_a_task_speaks_both_languages(task: Task) -> None:
    languages = set(get_args(Language))
    assert task.prompts.keys() == languages
    assert all((WORDS in text) == bool(task.words) for text in task.prompts.values())
    assert task.words is None or task.words.keys() == languages
    assert json.loads(json.dumps(task.to_json())) == task.to_json()


@ALL
def test_a_schema_can_be_enforced(task: Task) -> None:
    assert task.schema is None or read(dict(task.schema))


@ALL
@pytest.mark.parametrize("words", ["red cups", "红色杯子", "{words}", "赤いカップ", ""])
def test_words_stand_in_the_prompt(task: Task, words: str) -> None:
    prompt = task.prompt(f"  {words}\n")
    language: Language = "zh" if words == "红色杯子" else "en"
    if task.words:
        assert prompt == task.prompts[language].replace(
            WORDS, words or task.words[language]
        )
    else:
        assert prompt == task.prompts[language] + (f"\n{words}" if words else "")


def test_an_unknown_task_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"'dance'. Tasks: describe, read, table,"):
        find_task("dance")

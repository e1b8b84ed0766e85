"""The texts of the page: every language says everything, with the same places."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ui.i18n import SAME, language_of

PAGE = Path(__file__).parents[2] / "ui/page"
FILES = sorted((PAGE / "words").glob("*.json"))
ENGLISH = json.loads((PAGE / "words/en.json").read_text())
SAID = re.compile(r"""\bsay\(\s*["']([\w.]+)["']\s*[,)]""")


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_language_of_the_switch_has_a_file() -> None:
    source = (PAGE / "words.js").read_text()
    listed = source.partition("LANGUAGES")[2].partition("]);")[0]
    assert sorted(re.findall(r'\["([\w-]+)",', listed)) == [p.stem for p in FILES]


def test_the_server_speaks_the_language_of_the_page() -> None:
    source = (PAGE / "words.js").read_text()
    listed = source.partition("SAME = {")[2].partition("}")[0]
    assert dict(re.findall(r'"([\w-]+)": "([\w-]+)"', listed)) == SAME
    header = "xx;q=1, zh-Hant-HK;q=0.9, de"
    assert language_of(header) == "zh-HK"
    assert language_of("zh-Hant-TW") == language_of("zh-Hant") == "zh-TW"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_language_says_everything_and_keeps_the_places(path: Path) -> None:
    texts = json.loads(path.read_text())
    assert list(texts) == sorted(texts), "Sort the keys."
    assert texts.keys() == ENGLISH.keys()
    assert {key: places(text) for key, text in texts.items()} == {
        key: places(text) for key, text in ENGLISH.items()
    }
    assert all(text.strip() for text in texts.values())


def test_every_text_that_a_module_says_is_there() -> None:
    modules = [path for path in PAGE.rglob("*.js") if "node_modules" not in path.parts]
    said = {key for path in modules for key in SAID.findall(path.read_text())}
    assert said - ENGLISH.keys() == set()

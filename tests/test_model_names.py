"""Lists of models, and further names of models."""

from __future__ import annotations

import pytest

from edge.errors import SetupError
from edge.model_names import listed, read_aliases
from edge.settings import Settings


def test_a_list_may_have_spaces_and_empty_parts() -> None:
    assert listed(" tiny, /m/a.gguf,,") == ("tiny", "/m/a.gguf")
    assert listed("") == ()


def test_an_alias_means_a_model() -> None:
    aliases = read_aliases("gpt-4o=qwen3-vl-2b, mine = default")
    assert aliases == {"gpt-4o": "qwen3-vl-2b", "mine": "default"}
    assert read_aliases("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpt-4o", "'gpt-4o' is not NAME=MODEL"),
        ("=tiny", "is not NAME=MODEL"),
        ("a b=tiny", "is not NAME=MODEL"),
        ("a=tiny, a=tiny-q8", "a has a meaning already"),
        ("default=tiny", "default has a meaning already"),
        ("a=b, b=tiny", "Write a=tiny"),
    ],
)
def test_a_wrong_alias_stops_the_start(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_ALIASES", text)
    with pytest.raises(SetupError, match=said):
        Settings.load()


def test_a_model_that_is_named_twice_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_MODELS", "tiny,tiny")
    with pytest.raises(SetupError, match="tiny is named twice"):
        Settings.load()

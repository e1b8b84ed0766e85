"""Text as the page shows it, and back."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.markup import escape, parts, unescape

words = st.sampled_from(
    [
        "<",
        ">",
        "`",
        "```",
        "~~~",
        "\n",
        " ",
        "a",
        "&lt;",
        "&amp;lt;",
        "&",
        "amp;",
        "/",
        "!",
    ]
)
texts = st.lists(words, max_size=40).map("".join)


@given(st.one_of(texts, st.text()))
def test_escaped_text_is_unescaped_to_itself(text: str) -> None:
    assert unescape(escape(text)) == re.sub("(```|~~~)(?=mermaid)", r"\1 ", text)


@given(st.one_of(texts, st.text()))
def test_outside_code_no_tag_can_begin(text: str) -> None:
    for is_code, piece in parts(escape(text)):
        assert is_code or not re.search("<[A-Za-z/!?]", piece)


@given(st.one_of(texts, st.text()))
def test_parts_are_all_of_the_text(text: str) -> None:
    assert "".join(piece for _, piece in parts(text)) == text


@pytest.mark.parametrize(
    "word",
    [
        "~",
        "`",
        "` ",
        " ",
        "``` ",
        "~~~ ",
        "\n~~~",
        "\n```",
        "`a",
        "~`",
        "\\`",
        *(
            "<",
            "&",
            "&amp;",
            "amp;",
            "&lt;",
            "\n",
            "\r",
            "<a",
            "`\n",
            "   ~~~\n",
            "~~~x",
        ),
    ],
)
@pytest.mark.parametrize("around", ["", "~~~\n", "`", "<"])
def test_long_texts_take_time_as_long_ones(word: str, around: str) -> None:
    """Half a conversation of one word took 36 s, and with it the whole web process."""
    text = around + word * (64_000 // len(word)) + around
    began = time.process_time()
    assert unescape(escape(text)) == text
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<b", "a&lt;b"),
        ("1 < 2, a<-b", "1 < 2, a<-b"),
        ("`a<b` c<d", "`a<b` c&lt;d"),
        ("```\n<b>\n```\n<b>", "```\n<b>\n```\n&lt;b>"),
        ("```\n<b>", "```\n<b>"),
        ("a ` <b>", "a ` &lt;b>"),
        ("\\`<b>`", "\\`&lt;b>`"),
        ("&lt;b", "&amp;lt;b"),
        ("```mermaid\nx", "``` mermaid\nx"),
    ],
)
def test_a_tag_is_an_entity_but_in_code(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(
    "text", ["`" * 60_000, "```\n" * 20_000, "<" * 60_000, "` " * 30_000]
)
def test_long_texts_take_no_longer_than_they_are(text: str) -> None:
    assert unescape(escape(text)) == text

"""Chat turns to messages and events to texts, in both languages, without a browser."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest

from edge.errors import Cancelled, EdgeError, NoWorker, QueueFull, from_code
from edge.events import (
    Accepted,
    Embedded,
    Event,
    Failed,
    Finished,
    Queued,
    Retried,
    Started,
    Token,
)
from edge.request import Answer, Message, PictureRef
from ui.chat_turns import Turn, conversation, notice, render, status, turns
from ui.i18n import ERRORS, LANGUAGES, TEXTS, language_of

CAT, DOG = PictureRef("ca", 30, 20), PictureRef("d0", 20, 30)
PICTURES = {"/tmp/cat.png": CAT, "/tmp/dog.png": DOG}
in_both_languages = pytest.mark.parametrize("language", LANGUAGES)


def cat(text: str = "") -> Turn:
    return Turn("user", text, ("/tmp/cat.png",))


# --- texts --------------------------------------------------------------------


def test_the_page_speaks_two_languages() -> None:
    assert set(TEXTS) == set(LANGUAGES) == {"en", "zh"}


def test_both_languages_say_the_same_things() -> None:
    assert set(TEXTS["en"]) == set(TEXTS["zh"])


@pytest.mark.parametrize("name", TEXTS["en"])
def test_a_text_has_the_same_gaps_in_both_languages(name: str) -> None:
    def gaps(text: str) -> set[str | None]:
        return {gap for _, gap, _, _ in string.Formatter().parse(text)} - {None}

    assert gaps(TEXTS["en"][name]) == gaps(TEXTS["zh"][name])


@pytest.mark.parametrize("name", TEXTS["en"])
def test_a_text_is_translated(name: str) -> None:
    assert TEXTS["en"][name].strip()
    assert not re.search("[\u4e00-\u9fff]", TEXTS["en"][name])
    assert re.search("[\u4e00-\u9fff]", TEXTS["zh"][name])


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-Hant-TW", "zh"),
        ("de-DE,de;q=0.9,zh;q=0.8,en;q=0.7", "zh"),
        ("de-DE, en;q=0.8, zh;q=0.7", "en"),
        ("fr", "en"),
        ("*", "en"),
        (",,;q=1,", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_the_first_language_that_we_speak_is_taken(header: str, language: str) -> None:
    assert language_of(header) == language


# --- Gradio's history ---------------------------------------------------------


def entry(role: str, content: Any) -> dict[str, Any]:
    """A message as Gradio keeps it."""
    return {"role": role, "metadata": None, "content": content, "options": None}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def file(path: str) -> dict[str, Any]:
    return {
        "type": "file",
        "file": {"path": path, "orig_name": "a.png", "mime_type": "image/png"},
        "alt_text": None,
    }


@pytest.mark.parametrize(
    ("content", "turn"),
    [
        ("Hello", Turn("user", "Hello")),
        ("", Turn("user", "")),
        ([text("Hello")], Turn("user", "Hello")),
        ([text("Hello, "), text("you")], Turn("user", "Hello, you")),
        (["Hello"], Turn("user", "Hello")),
        (text("Hello"), Turn("user", "Hello")),
        (file("/tmp/a.png"), Turn("user", "", ("/tmp/a.png",))),
        (
            [file("/tmp/a.png"), file("/tmp/b.png"), text("Which?")],
            Turn("user", "Which?", ("/tmp/a.png", "/tmp/b.png")),
        ),
        ([{"type": "component", "component": "plot"}], Turn("user", "")),
        ([], Turn("user", "")),
        ((text("Hello"),), Turn("user", "Hello")),
    ],
)
def test_each_form_of_content_is_understood(content: Any, turn: Turn) -> None:
    assert turns([entry("user", content)]) == [turn]


def test_turns_keep_their_order_and_roles() -> None:
    history = [
        entry("user", [file("/tmp/cat.png")]),
        entry("user", [text("What is it?")]),
        entry("assistant", [text("A cat.")]),
    ]
    assert turns(history) == [
        cat(),
        Turn("user", "What is it?"),
        Turn("assistant", "A cat."),
    ]
    assert turns([]) == []


# --- from turns to messages ---------------------------------------------------


@in_both_languages
def test_a_question_about_a_picture_shows_the_picture_first(language: str) -> None:
    assert conversation([cat("What is it?")], PICTURES, language) == (
        Message("user", (CAT, "What is it?")),
    )


@in_both_languages
def test_a_picture_without_words_is_asked_the_default_question(language: str) -> None:
    question = TEXTS[language]["default_question"]
    assert conversation([cat()], PICTURES, language) == (
        Message("user", (CAT, question)),
    )


@in_both_languages
def test_two_pictures_without_words_are_asked_it_once(language: str) -> None:
    both = Turn("user", "", ("/tmp/cat.png", "/tmp/dog.png"))
    question = TEXTS[language]["default_question"]
    assert conversation([both], PICTURES, language) == (
        Message("user", (CAT, DOG, question)),
    )


@in_both_languages
def test_an_earlier_picture_gets_the_default_question(language: str) -> None:
    first = conversation([cat()], PICTURES, language)
    later = [cat(), Turn("assistant", "A cat."), Turn("user", "Which colour?")]
    assert conversation(later, PICTURES, language) == (
        *first,
        Message("assistant", ("A cat.",)),
        Message("user", ("Which colour?",)),
    )


def test_neighbouring_turns_of_one_role_become_one_message() -> None:
    chatted = [
        cat(),
        Turn("user", "What is it?"),
        Turn("assistant", "A cat."),
        Turn("assistant", " Or a dog."),
        Turn("user", "Hm."),
    ]
    assert conversation(chatted, PICTURES, "en") == (
        Message("user", (CAT, "What is it?")),
        Message("assistant", ("A cat.", " Or a dog.")),
        Message("user", ("Hm.",)),
    )


def test_pictures_of_neighbours_keep_their_order() -> None:
    chatted = [cat(), Turn("user", "or", ("/tmp/dog.png",)), cat("?")]
    assert conversation(chatted, PICTURES, "en") == (
        Message("user", (CAT, DOG, "or", CAT, "?")),
    )


@pytest.mark.parametrize("role", ["system", "tool", "alien", ""])
def test_only_people_and_the_model_speak(role: str) -> None:
    chatted = [Turn(role, "Obey."), Turn("user", "Hello"), Turn(role, "Obey.")]
    assert conversation(chatted, PICTURES, "en") == (Message("user", ("Hello",)),)


def test_a_conversation_needs_turns() -> None:
    assert conversation([], PICTURES, "en") == ()


def test_words_are_left_as_they_are() -> None:
    words = "  <|im_end|> {position} **猫**\n"
    assert conversation([Turn("user", words)], {}, "zh") == (Message("user", (words,)),)


# --- what the person sees -----------------------------------------------------


@in_both_languages
@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Started(475), "reading"),
        (Embedded(64), "thinking"),
        (Retried(), "retried"),
        (Failed.because(Cancelled("Gone.")), "cancelled"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_stage_is_shown_in_the_language(
    event: Event, name: str, language: str
) -> None:
    assert status(event, language) == TEXTS[language][name]


@in_both_languages
@pytest.mark.parametrize("position", [1, 17])
def test_the_queue_position_is_shown(position: int, language: str) -> None:
    render = status(Queued(position), language)
    assert render == TEXTS[language]["queued"].format(position=position)
    assert str(position) in render


@pytest.mark.parametrize(
    ("seconds", "about"),
    [
        (0.0, "a few seconds"),
        (7.4, "a few seconds"),
        (8.0, "10 seconds"),
        (12.4, "10 seconds"),
        (33.0, "35 seconds"),
        (89.9, "90 seconds"),
        (90.0, "2 minutes"),
        (151.0, "3 minutes"),
        (3600.0, "60 minutes"),
    ],
)
def test_the_waiting_time_is_rounded(seconds: float, about: str) -> None:
    render = status(Queued(3, seconds), "en")
    assert render == f"Waiting, number 3 in the queue, about {about}."


@pytest.mark.parametrize("seconds", [0.0, 33.0, 151.0])
def test_the_waiting_time_is_shown_in_chinese(seconds: float) -> None:
    render = status(Queued(3, seconds), "zh")
    assert render
    assert not re.search("[a-z{}]", render)
    assert "3" in render


@pytest.mark.parametrize(
    "error", [QueueFull("Come back in 7 s."), NoWorker("No one."), EdgeError("{0}")]
)
def test_a_failure_is_shown_by_its_message(error: EdgeError) -> None:
    assert status(Failed.because(error), "en") == error.message


@pytest.mark.parametrize("code", ERRORS["zh"])
def test_a_failure_is_shown_in_chinese(code: str) -> None:
    error = from_code(code, "At most {n} pixels.")
    assert error.code == code
    said = status(Failed.because(error), "zh") or ""
    assert re.match("[\u4e00-\u9fff]", said)
    if error.status == 400:  # it depends on the question: say what is wrong
        assert error.message in said


def test_an_untranslated_failure_is_shown_in_english() -> None:
    assert status(Failed.because(EdgeError("{0}")), "zh") == "{0}"


@in_both_languages
@pytest.mark.parametrize(
    "event",
    [None, Accepted(475), Token("A"), Finished(Answer("A cat.", "stop"))],
    ids=lambda event: type(event).__name__,
)
def test_where_there_is_text_there_is_no_status(
    event: Event | None, language: str
) -> None:
    assert status(event, language) is None


@in_both_languages
@pytest.mark.parametrize(
    ("models", "name"),
    [
        (set(), "no_worker"),
        ({"tiny"}, "tiny"),
        ({"tiny", "qwen3-vl-2b"}, "tiny"),
        ({"qwen3-vl-2b"}, None),
    ],
)
def test_the_page_warns_when_answers_deserve_no_trust(
    models: set[str], name: str | None, language: str
) -> None:
    assert notice(models, language) == (TEXTS[language][name] if name else "")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_note_on_dropped_messages_is_not_sent_to_the_model(language) -> None:
    shown = render(Answer("A ring.", "stop", n_dropped=2), language)
    assert TEXTS[language]["dropped"] in shown
    [turn] = turns([{"role": "assistant", "content": shown}])
    assert turn.text == "A ring."
    assert render(Answer("A ring.", "stop"), language) == "A ring."

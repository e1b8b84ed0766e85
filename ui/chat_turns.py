"""Translates chat turns: Gradio's history to messages, events to the page's texts.

Pure: no Gradio and no network, so that each rule can be tested by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.events import Embedded, Event, Failed, Queued, Retried, Started
from edge.request import Answer, Message, PictureRef
from ui.i18n import ERRORS, LANGUAGES, TEXTS


@dataclass(frozen=True)
class Turn:
    """One message of a chat: its role, its text, and paths of its pictures."""

    role: str
    text: str
    files: tuple[str, ...] = ()


def turns(history: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The turns in Gradio's history: dictionaries with a role and a content, which is
    a text or a list of parts {"type": "text" | "file"}."""
    found = []
    for entry in history:
        content = entry["content"]
        parts = [content] if isinstance(content, str | Mapping) else list(content)
        texts = [_text(part) for part in parts]
        files = [path for part in parts if (path := _file(part))]
        found.append(Turn(entry["role"], _without_note("".join(texts)), tuple(files)))
    return found


def _text(part: Any) -> str:
    if isinstance(part, str):
        return part
    return str(part.get("text", "")) if part.get("type") == "text" else ""


def _without_note(text: str) -> str:
    """The model's words in a text that `render` made."""
    for language in LANGUAGES:
        text = text.removesuffix(_note(language))
    return text


def _file(part: Any) -> str | None:
    if isinstance(part, str) or part.get("type") != "file":
        return None
    return str(part["file"]["path"])


def conversation(
    turns: Sequence[Turn], pictures: Mapping[str, PictureRef], language: str
) -> tuple[Message, ...]:
    """Messages for the model; `pictures` gives the decoded picture of each path.

    A picture without text gets the default question. Neighbouring turns of one
    role become one message: Gradio keeps files and text apart.
    """
    messages: list[Message] = []
    for turn in turns:
        if turn.role not in ("user", "assistant"):
            continue
        content: list[str | PictureRef] = [pictures[path] for path in turn.files]
        content += [turn.text] if turn.text else []
        if messages and messages[-1].role == turn.role:
            content = [*messages.pop().content, *content]
        messages.append(Message(turn.role, tuple(content)))  # type: ignore[arg-type]
    question = TEXTS[language]["default_question"]
    return tuple(
        Message("user", (*message.content, question))
        if message.content and message.pictures == message.content
        else message
        for message in messages
    )


def render(answer: Answer, language: str) -> str:
    """An answer as the page shows it; `turns` removes again what is added here."""
    return answer.text + (_note(language) if answer.n_dropped else "")


def _note(language: str) -> str:
    return f"\n\n*{TEXTS[language]['dropped']}*"


def notice(models: Collection[str], language: str) -> str:
    """The warning above the conversation; empty without one."""
    if not models:
        return TEXTS[language]["no_worker"]
    return TEXTS[language]["tiny"] if "tiny" in models else ""


def status(event: Event | None, language: str) -> str | None:
    """The status line while there is no new text; None: nothing new."""
    texts = TEXTS[language]
    match event:
        case Queued(position, None):
            return texts["queued"].format(position=position)
        case Queued(position, float(seconds)):
            about = _about(seconds, texts)
            return texts["queued_for"].format(position=position, about=about)
        case Retried():
            return texts["retried"]
        case Started():
            return texts["reading"]
        case Embedded():
            return texts["thinking"]
        case Failed("cancelled"):
            return texts["cancelled"]
        case Failed(code, message, _):
            return ERRORS[language].get(code, "{message}").format(message=message)
        case _:
            return None


def _about(seconds: float, texts: Mapping[str, str]) -> str:
    """A rounded time: an estimate has no exact seconds."""
    if seconds < 7.5:
        return texts["moment"]
    if seconds < 90:
        return texts["seconds"].format(n=5 * round(seconds / 5))
    return texts["minutes"].format(n=round(seconds / 60))

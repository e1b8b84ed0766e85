"""The shapes of what a browser may send to each function of the page.

Nothing of a client's JSON is passed on. A new payload is made of the texts and uploads
in it, so that no unknown field, component, path or URL reaches Gradio. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge.errors import BodyTooLarge, InvalidJson, InvalidRequest, NotFound
from ui.surface import KIB

MOST_TEXT = 64 * KIB  # characters of a conversation
MOST_MESSAGES = 400
MOST_PARTS = 64  # in one message
MOST_FILES = 64  # in a conversation; `ui.question` bounds those of one request
SESSION = re.compile("[A-Za-z0-9_-]{1,64}")


class File(Protocol):
    """An upload, as its table holds it."""

    @property
    def path(self) -> object: ...
    @property
    def media_type(self) -> str: ...


# An upload of the caller by the path that a client sent. Raises NotFound.
Find = Callable[[str], File]


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises InvalidJson for anything else, however deep."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidJson("The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise InvalidJson("The body is not a JSON object.")
    return found


def session_of(body: Mapping[str, Any]) -> str:
    """The session that a body names. Raises InvalidRequest."""
    session = body.get("session_hash")
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        raise InvalidRequest("This is not a session of the page.", param="session_hash")
    return session


def rebuild_call(
    body: Mapping[str, Any], functions: Mapping[int, str], find: Find
) -> dict[str, Any]:
    """The body of a call of one of `functions` (its number: its name), rebuilt.

    Raises NotFound for any other function or a picture that is not the caller's, and
    InvalidRequest or BodyTooLarge for data of another shape.
    """
    number = body.get("fn_index")
    if type(number) is not int or number not in functions:
        raise NotFound("There is no such function.")
    trigger, data = body.get("trigger_id"), body.get("data")
    if trigger is not None and type(trigger) is not int:
        raise _wrong("trigger_id")
    shapes = SHAPES[functions[number]]
    if not isinstance(data, list) or len(data) != len(shapes):
        raise _wrong("data")
    budget = _Budget()
    return {
        "data": [
            shape(item, find, budget) for shape, item in zip(shapes, data, strict=True)
        ],
        "event_data": None,
        "fn_index": number,
        "trigger_id": trigger,
        "session_hash": session_of(body),
    }


class _Budget:
    """What remains of the bounds of one payload."""

    def __init__(self) -> None:
        self._characters = MOST_TEXT
        self._files = MOST_FILES

    def text(self, text: object) -> str:
        if not isinstance(text, str):
            raise _wrong("data")
        if not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
            raise _wrong("data")  # half a character, which no encoding can write
        self._characters -= len(text)
        if self._characters < 0:
            raise BodyTooLarge(
                "This conversation is too long for the page. Clear it and ask again."
            )
        return text

    def file(self, part: object, find: Find) -> dict[str, Any]:
        path = part.get("path") if isinstance(part, dict) else None
        if not isinstance(path, str):
            raise _wrong("data")
        self._files -= 1
        if self._files < 0:
            raise BodyTooLarge(
                "This conversation has too many pictures. Clear it and ask again."
            )
        found = find(path)
        return {
            "path": str(found.path),
            "mime_type": found.media_type,
            "meta": {"_type": "gradio.FileData"},
        }


def _question(item: object, find: Find, budget: _Budget) -> dict[str, Any]:
    """What the text box holds: {"text", "files"}."""
    if not isinstance(item, dict) or not isinstance(item.get("files"), list):
        raise _wrong("data")
    if len(item["files"]) > MOST_FILES:
        raise _wrong("data")
    return {
        "text": budget.text(item.get("text")),
        "files": [budget.file(file, find) for file in item["files"]],
    }


def _history(item: object, find: Find, budget: _Budget) -> list[dict[str, Any]]:
    """What the conversation shows: messages of texts and files."""
    if item is None:
        return []
    if not isinstance(item, list) or len(item) > MOST_MESSAGES:
        raise _wrong("data")
    return [_message(message, find, budget) for message in item]


def _message(message: object, find: Find, budget: _Budget) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in (
        "user",
        "assistant",
    ):
        raise _wrong("data")
    parts = message.get("content")
    if not isinstance(parts, list) or len(parts) > MOST_PARTS:
        raise _wrong("data")
    content: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case {"type": "text", "text": text}:
                content.append({"type": "text", "text": budget.text(text)})
            case {"type": "file", "file": file}:
                content.append({"type": "file", "file": budget.file(file, find)})
            case _:
                raise _wrong("data")
    return {"role": message["role"], "content": content}


def _wrong(field: str) -> InvalidRequest:
    return InvalidRequest("The page never sends such data.", param=field)


# What each function of the page takes, by the name that `ui.chat` gives it.
SHAPES: dict[str, tuple[Callable[[object, Find, _Budget], Any], ...]] = {
    "about": (),
    "ask": (_question, _history),
    "retry": (_history,),
    "undo": (_history,),
    "rest": (),
    "rest_again": (),
}

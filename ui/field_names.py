"""Fields of a question, named in errors as the client's API names them.

Other APIs are translated to the body of /v1/chat/completions, and an error of that body
names its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import EdgeError


class FieldNames:
    """Paths in a chat body, such as `messages[1].content`, and what the client sent
    there."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, path: str, name: str) -> None:
        """What is at `path` in the chat body, and below it, was sent as `name`."""
        self._names[path] = name

    def rename(self, error: EdgeError) -> EdgeError:
        """`error`, with the client's name of the field that it is about."""
        path = error.param or ""
        known = path
        while known and known not in self._names:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        if known:
            error.param = self._names[known] + path[len(known) :]
            there = rf"(?<![\w.]){re.escape(path)}(?!\w)"
            error.message = re.sub(there, lambda _: error.param or "", error.message)
        return error

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Renames the field of an EdgeError that leaves the block."""
        try:
            yield
        except EdgeError as error:
            self.rename(error)
            raise

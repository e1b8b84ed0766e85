"""The targets of `$ref`s, and the names of definitions in the result."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from edge.schemas.bounds import MAX_REFERENCES, Place
from edge.schemas.values import Schema

ROOT = "#"


class References:
    """The references in `root`, which is at `place`. A definition in use is read once,
    and gets a short name: clients may use any name."""

    def __init__(self, root: Any, place: Place) -> None:
        self._root = root
        self._place = place
        self._found: dict[str, tuple[Any, Place]] = {}
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._in_place: dict[str, set[str]] = {}  # references to the same value

    def use(self, reference: Any, place: Place, here: str | None) -> Schema:
        """A reference for the result; `here` is the definition of the same value, if
        there is one."""
        if not isinstance(reference, str):
            raise place.refusal("$ref must be a string.")
        self.find(reference, place)
        if here is not None:
            self._in_place.setdefault(here, set()).add(reference)
        if reference not in self._names:
            if len(self._names) >= MAX_REFERENCES:
                raise place.refusal(
                    f"More than {MAX_REFERENCES} definitions are in use."
                )
            self._names[reference] = f"d{len(self._names)}"
            self._waiting.append(reference)
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def next(self) -> tuple[str, str] | None:
        """The next reference to read, and its name."""
        if not self._waiting:
            return None
        reference = self._waiting.pop()
        return reference, self._names[reference]

    def find(self, reference: str, asked: Place | None = None) -> tuple[Any, Place]:
        """The target of a reference (RFC 6901, in a URI's fragment), and its path."""
        if reference not in self._found:
            self._found[reference] = self._look_up(reference, asked or self._place)
        return self._found[reference]

    def _look_up(self, reference: str, asked: Place) -> tuple[Any, Place]:
        if not reference.startswith("#"):
            raise asked.refusal(
                f"{reference[:80]!r} is outside of this schema; no address is opened. "
                "Put the definition under $defs."
            )
        node, place = self._root, self._place
        pointer = unquote(reference[1:])
        if pointer and not pointer.startswith("/"):
            raise asked.refusal(
                f"{reference[:80]!r} is not a path: write #/$defs/name."
            )
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node, place = node[name], place / name
            elif isinstance(node, list) and name in map(str, range(len(node))):
                node, place = node[int(name)], place / int(name)
            else:
                raise asked.refusal(f"{reference[:80]!r} is not in this schema.")
        return node, place

    def refuse_loops(self) -> None:
        """Raises InvalidRequest for a definition that only refers to itself."""
        edges = dict(self._in_place)
        while edges:
            ends = {here for here, named in edges.items() if not named & edges.keys()}
            if not ends:
                reference = max(edges)
                raise self.find(reference)[1].refusal(
                    f"{reference[:80]!r} refers to itself and to nothing else."
                )
            edges = {here: named for here, named in edges.items() if here not in ends}

"""The bounds of a JSON Schema: counted before anything else, in time that does not
depend on its size.
"""

from __future__ import annotations

import math
import re
from typing import Any

from edge.errors import InvalidRequest

MAX_CHARACTERS = 65_536  # in all keys and strings
MAX_PATTERNS = 10_000  # characters in all patterns: they are read one by one
MAX_NODES = 10_000  # values of any kind: objects, lists, strings, numbers
MAX_RESULT = 500_000  # characters of the result
MAX_DEPTH = 60  # that of a body, less the levels around a schema
LARGEST = 2**53 - 1  # the doubles that clients read are not exact beyond it
MAX_LENGTH = 2**31 - 1  # maxLength and maxItems: 32-bit clients write it for none
MAX_LEAST = 10_000  # minLength and minItems: no answer is longer than that
MAX_PROPERTIES = 500  # of one object
MAX_ENUM = 1_000  # values of one enum
MAX_BRANCHES = 100  # of one anyOf, oneOf, allOf
MAX_REFERENCES = 500  # definitions in use
MAX_NAME = 500  # characters of a property's name

_TOO_LARGE = (
    f"This schema is too large: {MAX_NODES:,} values and {MAX_CHARACTERS:,} characters "
    "are allowed. Use a smaller one."
)
_PLAIN = re.compile(r"[A-Za-z0-9_$-]{1,64}")


class Place:
    """A path in a request, as clients write it:
    `response_format.json_schema.schema.properties.a.anyOf[1]`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __truediv__(self, step: str | int) -> Place:
        if isinstance(step, int):
            return Place(f"{self.text}[{step}]")
        if _PLAIN.fullmatch(step):
            return Place(f"{self.text}.{step}")
        shown = step if len(step) <= 40 else step[:39] + "…"
        return Place(self.text + "[" + ascii(shown) + "]")

    def refusal(self, sentence: str) -> InvalidRequest:
        """The error about this place, with its path in `param`."""
        param = self.text if len(self.text) <= 500 else self.text[:499] + "…"
        return InvalidRequest(f"{param}: {sentence}", param=param)


def count(schema: Any, place: Place) -> None:
    """Raises InvalidRequest for a schema that is too large, too deep, or holds half of
    a surrogate pair or a number that is not finite."""
    n_nodes = n_characters = n_in_patterns = 0
    waiting = [(schema, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise place.refusal(f"This schema is nested more than {MAX_DEPTH} deep.")
        if isinstance(node, dict | list) and len(node) > MAX_NODES:
            raise place.refusal(_TOO_LARGE)
        if isinstance(node, dict):
            texts = list(node)
            if isinstance(pattern := node.get("pattern"), str):
                n_in_patterns += len(pattern)
            waiting += ((value, depth + 1) for value in node.values())
        elif isinstance(node, list):
            texts = []
            waiting += ((value, depth + 1) for value in node)
        else:
            texts = [node] if isinstance(node, str) else []
        if isinstance(node, float) and not math.isfinite(node):
            raise place.refusal("This schema has a number that is not finite.")
        n_nodes += 1
        n_characters += sum(map(len, texts))
        if max(n_nodes, len(waiting)) > MAX_NODES or n_characters > MAX_CHARACTERS:
            raise place.refusal(_TOO_LARGE)
        if n_in_patterns > MAX_PATTERNS:
            raise place.refusal(
                f"The patterns of this schema have more than {MAX_PATTERNS:,} "
                "characters together. Use shorter ones."
            )
        for text in texts:
            if any("\ud800" <= char <= "\udfff" for char in text):
                raise place.refusal("This schema has half of a surrogate pair.")

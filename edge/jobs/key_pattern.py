"""One kind of key in Redis: what it holds, and how Python and Lua spell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Type = Literal["string", "hash", "list", "set", "zset", "stream"]


@dataclass(frozen=True)
class Key:
    """One row of the table.

    `pattern` has its parameters in braces; `type` is what Redis calls it; `fields` says
    what it holds, `writer` which scripts (`lua/*.lua`) or modules write it.
    """

    name: str
    pattern: str
    type: Type
    fields: str
    lifetime: str
    writer: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.pattern))

    def __call__(self, *values: str | int) -> str:
        """The key for the values of all parameters, in the order of the pattern."""
        return self.pattern.format(**dict(zip(self.parameters, values, strict=True)))

    def matches(self, key: str) -> bool:
        parts = re.split(r"{\w+}", self.pattern)
        return bool(re.fullmatch("(.+)".join(map(re.escape, parts)), key, re.DOTALL))

    @property
    def lua(self) -> str:
        """A Lua function that makes the same key from the same values."""
        parts = re.split(r"{(\w+)}", self.pattern)
        quoted = [f"'{part}'" for part in parts[::2]]
        joined = [quoted[0]]
        for name, text in zip(self.parameters, quoted[1:], strict=True):
            joined += [name, text]
        names, value = ", ".join(self.parameters), " .. ".join(joined)
        value = value.removesuffix(" .. ''")
        return f"local function {self.name}_key({names}) return {value} end"

"""Names of models: lists of them, and further names that clients use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edge.errors import SetupError

# Asks the default model, as no name does. An alias of it moves with a switch.
DEFAULT_NAME: Final = "default"
_NAME: Final = re.compile(r"[A-Za-z0-9._:@+-]{1,200}")  # as in ui/surface.py


def listed(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list. Raises SetupError for one that is there
    twice."""
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in names:
        if names.count(name) > 1:
            raise SetupError(f"The model {name} is named twice: name it once.")
    return names


def is_path(name: str) -> bool:
    """Whether a model is named by the path of its file."""
    return name.endswith(".gguf") or "/" in name


def read_aliases(text: str) -> Mapping[str, str]:
    """The model of each alias in `gpt-4o=qwen3-vl-2b, small=tiny`.

    Raises SetupError for what is not NAME=MODEL, for an alias that is given twice, and
    for one of another alias.
    """
    aliases: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        alias, _, model = (word.strip() for word in part.partition("="))
        if not (_NAME.fullmatch(alias) and model):
            raise SetupError(
                f"EDGE_ALIASES: {part!r} is not NAME=MODEL. Write, for example, "
                "EDGE_ALIASES=gpt-4o=qwen3-vl-2b."
            )
        if alias in (*aliases, DEFAULT_NAME):
            raise SetupError(f"EDGE_ALIASES: {alias} has a meaning already: remove it.")
        aliases[alias] = model
    for alias, model in aliases.items():
        if model in aliases:
            raise SetupError(
                f"EDGE_ALIASES: {alias} means {model}, which is an alias too. Write "
                f"{alias}={aliases[model]}."
            )
    return aliases

"""The regular expression in a schema's `pattern`, rewritten to describe a whole string.

Where ECMA-262, which JSON Schema names, and Python's `re` differ, the rewritten pattern
admits only what both admit. No state machine is built: the cost is linear.
"""

from __future__ import annotations

from edge.schemas.pattern_reader import (
    Part,
    UnreadablePattern,
    plain_text,
    read_branches,
)

MAX_LENGTH = 2_000  # characters of the pattern
MAX_ATOMS = 10_000  # characters that it describes when all {m,n} are written out
MAX_VARIABLE = 100  # repetitions of variable length, written out too


def whole_string(pattern: str) -> str:
    """`pattern`, which may match anywhere in a string, as one that matches all of it.

    Raises UnreadablePattern for one that is wrong, too large, or needs more than a
    regular language.
    """
    if len(pattern) > MAX_LENGTH:
        raise UnreadablePattern(
            f"has {len(pattern):,} characters; {MAX_LENGTH:,} are allowed"
        )
    branches = read_branches(pattern)
    n_atoms = sum(part.n_atoms for branch in branches for part in branch)
    if n_atoms > MAX_ATOMS:
        raise UnreadablePattern(
            f"describes {n_atoms:,} characters when its repetitions are written out; "
            f"{MAX_ATOMS:,} are allowed"
        )
    n_variable = sum(part.n_variable for branch in branches for part in branch)
    if n_variable > MAX_VARIABLE:
        raise UnreadablePattern(
            f"has {n_variable:,} repetitions of variable length when they are written "
            f"out; {MAX_VARIABLE} are allowed"
        )
    return f"^(?:{_anchored(branches)})$"


def _anchored(branches: tuple[tuple[Part, ...], ...]) -> str:
    """The branches for a whole string: anything may stand where no anchor does."""
    return "|".join(_anchored_branch(branch) for branch in branches)


def _anchored_branch(branch: tuple[Part, ...]) -> str:
    if len(branch) == 1 and branch[0].branches:
        return f"(?:{_anchored(branch[0].branches)})"
    parts = list(branch)
    begins = ends = False
    while parts and parts[0].anchor == "^":
        begins = bool(parts.pop(0))
    while parts and parts[-1].anchor == "$":
        ends = bool(parts.pop())
    text = "".join(plain_text(part) for part in parts)
    anything = "(?s:.*)"
    return f"{'' if begins else anything}{text}{'' if ends else anything}"

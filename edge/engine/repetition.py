"""The guard against answers that repeat themselves.

Small models that always choose the likeliest token sometimes repeat one passage up to
`max_tokens`. Such an answer is useless, and other questions wait for its slot. Tables
and lists repeat too: real ones have empty rows, or an item twenty times. So a row may
come more often than a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_BLOCK = 256  # tokens; a paragraph
FEWEST_TIMES = 4
FEWEST_TOKENS = 160  # of repetition
FEWEST_ROWS = 64  # but of wide rows fewer, down to the days of a month
MOST_ROW_TOKENS = 1024
FEWEST_WIDE_ROWS = 32

_CELL = r"(?:[ ]?[^\s,;{}]++){0,4}+[ ]?"
_ROW = re.compile(
    rf"""
      \|                                               # Markdown
    | </t[dhr]> | \t
    | ^[^&\n]*+&[^\n]*\\\\                            # LaTeX
    | ^[^{{}}\n]*\S[,;][^\s{{}}][^{{}}\n]*$               # CSV; not the objects of JSON
    | ^(?:{_CELL}[,;])+{_CELL}(?<![.!?。！？])$        # with blanks; not a sentence
    | ^\s*(?:[-+*•◦·☐☑□]|\d+[.)、）])\s               # a list
    | \d\W{{0,4}}$            # a line that ends with a number, as on a receipt
    """,
    re.MULTILINE | re.VERBOSE,
)
_ROW_END = re.compile(r"\n|\||</t[dhr]>|\\\\")


def is_stuck(tokens: list[int], piece: Callable[[int], bytes]) -> bool:
    """Whether an answer ends with one block of tokens repeated too often. `piece` gives
    the text of a token in UTF-8."""
    for block in range(1, LONGEST_BLOCK + 1):
        n = max(FEWEST_TOKENS, FEWEST_TIMES * block)
        if n > len(tokens):
            return False
        if _repeats(tokens, block, n):
            written = b"".join(map(piece, tokens[-block:])).decode(errors="replace")
            if not is_row(written):
                return True
            wide = max(MOST_ROW_TOKENS, FEWEST_WIDE_ROWS * block)
            return _repeats(tokens, block, max(n, min(FEWEST_ROWS * block, wide)))
    return False


def _repeats(tokens: list[int], block: int, n: int) -> bool:
    """Whether each of the last `n` tokens but the first ones equals the one a block
    before it."""
    return (
        n <= len(tokens)
        and tokens[-1] == tokens[-1 - block]
        and tokens[block - n :] == tokens[-n:-block]
    )


def is_row(block: str) -> bool:
    """Whether a block that repeats is made of rows of a table or a list; it may begin
    in the middle of one."""
    return bool(_ROW.search(block * 2) and _ROW_END.search(block * 2))

"""From bytes of tokens to text that may be shown.

A token may end in the middle of a character, and a stop string may span several tokens:
both are held back until they are complete.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Text of one answer. `text` is all text so far; it begins with what is given.
    `stopped_by` is the stop string that was found, which is not part of the text; ""
    before that."""

    def __init__(self, stop: Sequence[str] = (), text: str = "") -> None:
        self.text = text
        self.stopped_by = ""
        self._stop = tuple(stop)
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._held = ""

    def feed(self, piece: bytes, *, may_stop: bool = True) -> str:
        """The text that is complete with `piece`; often empty. A stop string that
        ends in it counts only if it `may_stop`."""
        return self._show(self._decode(piece), last=False, may_stop=may_stop)

    def flush(self) -> str:
        """The rest, when no more tokens come, without the beginning of a character."""
        return self._show("", last=True)

    def _show(self, new: str, *, last: bool, may_stop: bool = True) -> str:
        if self.stopped_by:
            return ""
        pending = self._held + new
        if may_stop and (found := self._first_stop(pending)):
            cut, self.stopped_by = found
            shown, self._held = pending[:cut], ""
        else:
            keep = 0 if last else self._possible_stop(pending)
            shown, self._held = (
                pending[: len(pending) - keep],
                pending[len(pending) - keep :],
            )
        self.text += shown
        return shown

    def _first_stop(self, text: str) -> tuple[int, str] | None:
        """Where the first stop string begins, and which one."""
        found = [(at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        return min(found, default=None)

    def _possible_stop(self, text: str) -> int:
        """How many characters at the end of `text` could begin a stop string."""
        longest = min(len(text), max(map(len, self._stop), default=1) - 1)
        for n in range(longest, 0, -1):
            if any(stop.startswith(text[-n:]) for stop in self._stop):
                return n
        return 0

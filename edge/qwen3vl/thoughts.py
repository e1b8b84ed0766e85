"""Thoughts: what a model that thinks writes before its answer, between <think> and
</think>. Pure.

Source: the chat templates of Qwen3 and of Qwen3-VL-Thinking.
"""

from __future__ import annotations

import re

OPEN, CLOSE = "<think>", "</think>"
OPENED = f"{OPEN}\n"  # how the template lets an answer begin
NONE = f"{OPEN}\n\n{CLOSE}\n\n"  # the same, so that no thoughts follow

_THOUGHTS = re.compile(rf"\s*{OPEN}.*?{CLOSE}\s*", re.DOTALL)


def thinks(chat_template: str) -> bool:
    """Whether the model of this chat template thinks: it names <think> where an answer
    begins."""
    return OPEN in chat_template.rpartition("add_generation_prompt")[2]


def thoughts_in(answer: str) -> str:
    """The beginning of an answer that is its thoughts, with their marks; "" without
    any. They may be cut off."""
    if not answer.lstrip().startswith(OPEN):
        return ""
    before, close, _ = answer.partition(CLOSE)
    return before + close


def without_thoughts(text: str) -> str:
    """An earlier answer as later questions are shown it."""
    found = _THOUGHTS.match(text)
    return text[found.end() :] if found else text


class ThoughtReader:
    """Splits thoughts off the beginning of an answer, which comes in pieces.

    What has been found after a piece depends on the text so far, not on how it was
    divided into pieces. White space around thoughts is left out.
    """

    def __init__(self) -> None:
        self._rest = ""  # not yet decided
        self._read = self._read_beginning
        self._is_first = True  # no thoughts so far

    def feed(self, piece: str) -> tuple[str, str]:
        """The thoughts and the other text that this piece adds."""
        self._rest += piece
        return self._read()

    def end(self) -> tuple[str, str]:
        """What was undecided at the end of the answer."""
        rest, self._rest = self._rest, ""
        if self._read == self._read_thoughts:
            return rest.rstrip(), ""
        return "", rest if self._read == self._read_beginning else ""

    def _read_beginning(self) -> tuple[str, str]:
        if OPEN.startswith(self._rest) and self._rest != OPEN:
            return "", ""
        if self._rest.startswith(OPEN):
            self._rest, self._read = self._rest[len(OPEN) :], self._read_thoughts
            return self._read()
        self._read = self._read_text
        return self._read()

    def _read_thoughts(self) -> tuple[str, str]:
        thoughts, close, rest = self._rest.partition(CLOSE)
        if self._is_first:
            thoughts = thoughts.lstrip()
        if close:
            self._rest, self._read = rest, self._read_gap
            return thoughts.rstrip(), self._read()[1]
        kept = _without_beginning(thoughts, CLOSE).rstrip()
        self._rest = thoughts[len(kept) :]
        self._is_first = self._is_first and not kept
        return kept, ""

    def _read_gap(self) -> tuple[str, str]:
        self._rest = self._rest.lstrip()
        if self._rest:
            self._read = self._read_text
        return self._read_text()

    def _read_text(self) -> tuple[str, str]:
        text, self._rest = self._rest, ""
        return "", text


def _without_beginning(text: str, mark: str) -> str:
    """`text` without an end that may be the beginning of `mark`."""
    for n in range(min(len(text), len(mark) - 1), 0, -1):
        if mark.startswith(text[-n:]):
            return text[:-n]
    return text

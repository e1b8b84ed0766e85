"""Earlier answers about the same pictures: a later one may repeat parts of them."""

from __future__ import annotations

from collections import OrderedDict
from sys import getsizeof

TOKENS_PER_KEY = 4096  # the latest
ENTRY_BYTES = 220  # of a key's tuple and its place among the others, rounded up

Key = tuple[str, ...]  # a scope and the hashes of all pictures, in prompt order


class EarlierAnswers:
    """Texts of one character for each token, and their keys: at most `most_bytes` of
    memory. The least recently used ones go first."""

    def __init__(self, most_bytes: int) -> None:
        self._texts: OrderedDict[Key, str] = OrderedDict()
        self._n_free = most_bytes

    def get(self, key: Key) -> str:
        """All texts of a key, oldest first; empty without any."""
        if key not in self._texts:
            return ""
        self._texts.move_to_end(key)
        return self._texts[key]

    def add(self, key: Key, text: str) -> None:
        before = self._texts.pop(key, None)
        if before is not None:
            self._n_free += _n_bytes(key, before)
        self._texts[key] = after = ((before or "") + text)[-TOKENS_PER_KEY:]
        self._n_free -= _n_bytes(key, after)
        while self._n_free < 0:
            self._n_free += _n_bytes(*self._texts.popitem(last=False))


def _n_bytes(key: Key, text: str) -> int:
    """A short answer takes less than its key."""
    return ENTRY_BYTES + sum(map(getsizeof, (text, *key)))

"""Earlier answers about the same pictures: a later one may repeat parts of them."""

from __future__ import annotations

from collections import OrderedDict

TOKENS_PER_KEY = 4096  # the latest
CHARACTER_BYTES = 4  # in a text with a token above 65,535

Key = tuple[str, ...]  # a scope and the hashes of all pictures, in prompt order


class EarlierAnswers:
    """Texts of one character for each token, at most `most_bytes` of them. The least
    recently used ones go first."""

    def __init__(self, most_bytes: int) -> None:
        self._texts: OrderedDict[Key, str] = OrderedDict()
        self._n_free = most_bytes // CHARACTER_BYTES

    def get(self, key: Key) -> str:
        """All texts of a key, oldest first; empty without any."""
        if key not in self._texts:
            return ""
        self._texts.move_to_end(key)
        return self._texts[key]

    def add(self, key: Key, text: str) -> None:
        before = self.get(key)
        self._texts[key] = after = (before + text)[-TOKENS_PER_KEY:]
        self._n_free -= len(after) - len(before)
        while self._n_free < 0:
            _, oldest = self._texts.popitem(last=False)
            self._n_free += len(oldest)

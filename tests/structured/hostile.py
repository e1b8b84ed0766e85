"""Hostile models: their logits favour tokens that break JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PUSHED = {
    "anything": b"",
    "line breaks": b"\n\r\t",
    "quotes": b'"',
    "digits": b"0123456789",
    "backslashes": b"\\u",
    "control bytes": bytes(range(32)),
    "parts of characters": bytes(range(128, 256)),
    "brackets": b"[{",
    "blanks": b" \n",
    "signs": b"-+.eE",
}
CLOSERS = b'"}]'


class HostileModel:
    """Gives likelihoods f32 [vocabulary], without looking at the answer: random, with a
    push, and from token `close_after` on with another that brings answers to their end.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        ends: Sequence[int],
        push: str,
        seed: int,
        close_after: int = 60,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._n = len(pieces)
        self._pushed = _holding(pieces, PUSHED[push])
        self._closing = _holding(pieces, CLOSERS)
        self._closing[list(ends)] = True
        self._close_after = close_after
        self._n_asked = 0

    def logits(self) -> npt.NDArray[np.float32]:
        found = self._rng.normal(size=self._n).astype(np.float32) * 3
        self._n_asked += 1
        closes = self._n_asked > self._close_after
        found[self._closing if closes else self._pushed] += 12
        return found


def _holding(pieces: Sequence[bytes], wanted: bytes) -> npt.NDArray[np.bool_]:
    return np.array([bool(set(piece) & set(wanted)) for piece in pieces])

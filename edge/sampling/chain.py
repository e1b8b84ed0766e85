"""One answer's way from logits to a token: biases, penalties, filters, temperature and
a random number, in llama.cpp's usual order and with its results."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Final

import numpy as np

from edge.errors import EngineError
from edge.request import SamplingParams
from edge.sampling.filters import Ids, Logits, draw, largest, min_p, top_p

PENALTY_WINDOW: Final = 256  # tokens of the answer that the penalties look back on
LEAST_TEMPERATURE: Final = 1e-5  # with less, float32 would overflow
BELOW_ONE: Final = math.nextafter(1.0, 0.0)


class Chain:
    """Chooses by `params`, and remembers the latest tokens for the penalties."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._temperature = np.float32(max(params.temperature, LEAST_TEMPERATURE))
        self._latest: deque[int] = deque(maxlen=PENALTY_WINDOW)
        self._counts: Counter[int] = Counter()
        self._has_penalties = params.repeat_penalty != 1.0 or any(
            (params.frequency_penalty, params.presence_penalty)
        )
        # numpy keeps this generator as it is for ever: the stream of C++'s mt19937
        seed = None if params.seed is None else params.seed & 0xFFFFFFFF
        self._random = np.random.RandomState(seed)

    def choose(self, logits: Logits, allowed: Ids | None = None) -> int:
        """A token by its logits f32 [vocabulary]: one of `allowed`, ascending, or any.

        Raises EngineError when no logit of them is finite.
        """
        logits, tokens = self._adjusted(logits), allowed
        if tokens is not None:
            logits = logits[tokens]
        if not np.isfinite(logits.max()):
            usable = np.flatnonzero(np.isfinite(logits))
            if not usable.size:
                raise EngineError("The model gave no usable logits. Try again.")
            logits = logits[usable]
            tokens = usable if tokens is None else tokens[usable]
        index = int(logits.argmax()) if self._params.is_greedy else self._drawn(logits)
        return index if tokens is None else int(tokens[index])

    def accept(self, token: int) -> None:
        """Remembers a token of the answer."""
        if not self._has_penalties:
            return
        if len(self._latest) == PENALTY_WINDOW:
            oldest = self._latest[0]
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._latest.append(token)
        self._counts[token] += 1

    def _adjusted(self, logits: Logits) -> Logits:
        """With biases and penalties; a copy if there are any."""
        params = self._params
        if params.logit_bias:
            logits = logits.copy()
            for token, bias in params.logit_bias:
                logits[token] += np.float32(bias)
        if not self._counts:
            return logits
        tokens = np.fromiter(self._counts, np.intp)
        counts = np.fromiter(self._counts.values(), np.float32)
        repeat = np.float32(params.repeat_penalty)
        chosen = logits[tokens]
        chosen = np.where(chosen <= 0, chosen * repeat, chosen / repeat)
        chosen -= counts * np.float32(params.frequency_penalty) + np.float32(
            params.presence_penalty
        )
        logits = logits.copy()
        logits[tokens] = chosen
        return logits

    def _drawn(self, logits: Logits) -> int:
        """The index of a token that may be drawn."""
        params = self._params
        order: Ids | None = None  # indices of those that may; None for all
        if params.top_k > 0:
            order = largest(logits, params.top_k)
            logits = logits[order]
        if params.top_p < 1.0:
            likeliest = top_p(logits, params.top_p, is_sorted=order is not None)
            order = likeliest if order is None else order[likeliest]
            logits = logits[likeliest]
        if params.min_p > 0.0:
            likely = min_p(logits, params.min_p)
            order = likely if order is None else order[likely]
            logits = logits[likely]
        index = draw(logits / self._temperature, self._uniform())
        return index if order is None else int(order[index])

    def _uniform(self) -> float:
        """A random number from 0 to 1, as libstdc++ makes it of two of 32 bits."""
        low, high = map(int, self._random.randint(0, 1 << 32, 2, np.uint32))
        return min((low + (high << 32)) / (1 << 64), BELOW_ONE)

"""A runtime without a model: deterministic, instant, public, for tests and demos.

It answers every prompt with the same sentence, byte by byte: a token below 256 is a
byte, the control tokens of the template follow.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from edge.engine.batch import Batch, PictureBatch
from edge.errors import InvalidRequest
from edge.request import SamplingParams

PICTURE = -1  # what a cell of a picture has for a token
CONTROL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
LONG_ANSWER = " ".join(map(str, range(10_000)))  # never the same words twice
END = 256 + CONTROL.index("<|im_end|>")
_SPLIT = re.compile("(" + "|".join(map(re.escape, CONTROL)) + ")")


class StubRuntime:
    """Says `answer`; each step takes `step_s`. A prompt that holds one of the words of
    `faults` makes that happen before its first token: an exception, an abort, a hang.
    """

    name = "stub"

    def __init__(
        self,
        answer: str = "A stub sees nothing and says 好.",
        *,
        n_slots: int = 4,
        n_cells: int = 4096,
        n_kept: int = 0,
        step_s: float = 0.0,
        faults: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.n_kept = n_kept
        self.n_threads = 1
        self.step_s = step_s
        self.prompts: dict[int, list[int]] = {}
        self.cells: dict[int, list[int]] = {}  # of each slot, the positions
        self._script: list[int] = [*answer.encode(), END]
        self._said: dict[int, int] = {}
        self._faults = faults or {}

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if not special:
            return list(text.encode())
        tokens: list[int] = []
        for part in _SPLIT.split(text):
            known = part in CONTROL
            tokens += [256 + CONTROL.index(part)] if known else list(part.encode())
        return tokens

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == END

    def check(self, sampling: SamplingParams) -> None:
        if sampling.logit_bias and max(sampling.logit_bias)[0] > END:
            raise InvalidRequest("The stub has fewer tokens.", param="logit_bias")

    def open(self, slot: int, sampling: SamplingParams) -> None:
        assert slot not in self.cells, f"slot {slot} is not empty"
        self.prompts[slot], self.cells[slot], self._said[slot] = [], [], 0

    def share(self, source: int, slot: int, n_positions: int) -> None:
        before = [at for at in self.cells[source] if at < n_positions]
        self.cells[slot] = before
        self.prompts[slot] = self.prompts[source][: len(before)]

    def run(self, batch: Batch, n_threads: int | None = None) -> list[int]:
        time.sleep(self.step_s)
        if isinstance(batch, PictureBatch):
            for at in batch.positions[0].tolist():
                self._fill(batch.slot, at, PICTURE)
            return []
        sampled = []
        for row in batch.rows:
            self._fill(row.slot, row.position, row.token)
            if row.sampled:
                sampled.append(self._say(row.slot))
        return sampled

    def release(self, slot: int) -> None:
        del self.prompts[slot], self.cells[slot], self._said[slot]

    def close(self) -> None:
        pass

    def _fill(self, slot: int, position: int, token: int) -> None:
        self.cells[slot].append(position)
        self.prompts[slot].append(token)

    def _say(self, slot: int) -> int:
        said = self._said[slot]
        if said == 0:
            prompt = bytes(token for token in self.prompts[slot] if 0 <= token < 256)
            for word, fault in self._faults.items():
                if word.encode() in prompt:
                    fault()
        self._said[slot] += 1
        return self._script[min(said, len(self._script) - 1)]

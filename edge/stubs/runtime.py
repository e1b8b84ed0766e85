"""A runtime without a model: deterministic, instant, public, for tests and demos.

It answers every prompt with the same sentence, byte by byte: a token below 256 is a
byte, the control tokens of the template follow.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from edge.engine.batch import Batch, PictureBatch
from edge.engine.protocols import Constraint
from edge.errors import EngineError, InvalidRequest
from edge.request import SamplingParams
from edge.structured.compiler import Compiler

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
        n_idle: int = 0,
        step_s: float = 0.0,
        faults: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        self.n_slots = n_slots
        self.n_cells = n_cells
        self.n_idle = n_idle
        self.n_threads = 1
        self.step_s = step_s
        self.prompts: dict[int, list[int]] = {}
        self.cells: dict[int, list[int]] = {}  # of each slot, the positions
        self._script: list[int] = [*answer.encode(), END]
        self._said: dict[int, int] = {}
        self._constraints: dict[int, Constraint | None] = {}
        pieces = [self.piece(token) for token in range(256 + len(CONTROL))]
        self._compiler = Compiler(pieces, [END], lambda text: [*text.encode()])
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

    def check(self, sampling: SamplingParams) -> Constraint | None:
        if sampling.logit_bias and max(sampling.logit_bias)[0] > END:
            raise InvalidRequest("The stub has fewer tokens.", param="logit_bias")
        schema = sampling.json_schema
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        assert slot not in self.cells, f"slot {slot} is not empty"
        self.prompts[slot], self.cells[slot], self._said[slot] = [], [], 0
        self._constraints[slot] = constraint

    def share(self, source: int, slot: int, n_positions: int) -> None:
        before = [at for at in self.cells[source] if at < n_positions]
        self.cells[slot] = before
        self.prompts[slot] = self.prompts[source][: len(before)]

    def run(
        self, batch: Batch, n_threads: int | None = None
    ) -> list[int | EngineError]:
        time.sleep(self.step_s)
        if isinstance(batch, PictureBatch):
            for at in batch.positions[0].tolist():
                self._fill(batch.slot, at, PICTURE)
            return []
        sampled: list[int | EngineError] = []
        for row in batch.rows:
            self._fill(row.slot, row.position, row.token)
            if row.sampled:
                sampled.append(self._constrained(row.slot, self._say(row.slot)))
        return sampled

    def release(self, slot: int) -> None:
        del self.prompts[slot], self.cells[slot], self._said[slot]
        del self._constraints[slot]

    def close(self) -> None:
        self._compiler.close()

    def _fill(self, slot: int, position: int, token: int) -> None:
        self.cells[slot].append(position)
        self.prompts[slot].append(token)

    def _constrained(self, slot: int, token: int) -> int | EngineError:
        """The token, or one that is allowed and brings the answer to its end."""
        if not (constraint := self._constraints[slot]):
            return token
        try:
            if not constraint.allows(token):
                allowed = constraint.allowed().tolist()
                closing = [byte for byte in (END, *b'}]"0') if byte in allowed]
                token = [*closing, allowed[-1]][0]
            constraint.accept(token)
        except EngineError as error:
            return error
        return token

    def _say(self, slot: int) -> int:
        said = self._said[slot]
        if said == 0:
            prompt = bytes(token for token in self.prompts[slot] if 0 <= token < 256)
            for word, fault in self._faults.items():
                if word.encode() in prompt:
                    fault()
        self._said[slot] += 1
        return self._script[min(said, len(self._script) - 1)]

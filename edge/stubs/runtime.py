"""A runtime without a model: deterministic, instant, public, for tests and demos.

It answers every prompt with the same sentence, byte by byte: a token below 256 is a
byte, the control tokens of the template follow.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from edge.engine.protocols import Constraint
from edge.engine.step import (
    MOST_TOKENS,
    Chosen,
    Logprobs,
    Row,
    Sampled,
    Step,
    TextSpan,
)
from edge.engine.verify import sample_rows
from edge.errors import EngineError, InvalidRequest
from edge.request import SamplingParams
from edge.structured.compiler import Compiler

PICTURE = -1  # stands for an image token
CONTROL = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
LONG_ANSWER = " ".join(map(str, range(10_000)))  # never the same words twice
END = 256 + CONTROL.index("<|im_end|>")
N_VOCAB = 256 + len(CONTROL)
NOTHING = np.empty(0, np.float32)
_SPLIT = re.compile("(" + "|".join(map(re.escape, CONTROL)) + ")")


class StubRuntime:
    """Answers with `answer`; each step takes `step_s`. A prompt that contains a word of
    `faults` calls its function before the first token: an exception, an abort, a hang.
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
        self.step_s = step_s
        self.prompts: dict[int, list[int]] = {}  # of each slot, all tokens it holds
        self.cells: dict[int, list[int]] = {}  # of each slot, the positions
        self._script: list[int] = [*answer.encode(), END]
        self._n_prompt: dict[int, int] = {}  # of each slot that has begun its answer
        self._constraints: dict[int, Constraint | None] = {}
        self._n_likeliest: dict[int, int | None] = {}
        self.n_vocab, self.ends = N_VOCAB, (END,)
        self.score_row = np.zeros(N_VOCAB, np.float32)
        self.score_row[ord("+")] = 1  # each plus in a prompt speaks for yes
        pieces = [self.piece(token) for token in range(N_VOCAB)]
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

    def label(self, token: int) -> bytes:
        return self.piece(token) or CONTROL[token - 256].encode()

    def check(self, sampling: SamplingParams) -> Constraint | None:
        named = {
            "logit_bias": [token for token, _ in sampling.logit_bias],
            "stop_token_ids": sampling.stop_token_ids,
        }
        for field, tokens in named.items():
            if max(tokens, default=0) >= N_VOCAB:
                raise InvalidRequest("The stub has fewer tokens.", param=field)
        schema = sampling.grammar
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        assert slot not in self.cells, f"slot {slot} is not empty"
        self.prompts[slot], self.cells[slot] = [], []
        self._constraints[slot] = constraint
        self._n_likeliest[slot] = sampling.logprobs

    def share(self, source: int, slot: int, n_positions: int) -> None:
        before = [at for at in self.cells[source] if at < n_positions]
        self.cells[slot] = before
        self.prompts[slot] = self.prompts[source][: len(before)]

    def rewind(self, slot: int, position: int) -> None:
        n_left = sum(at < position for at in self.cells[slot])
        del self.cells[slot][n_left:], self.prompts[slot][n_left:]
        if n_left < self._n_prompt.get(slot, 0):
            del self._n_prompt[slot]

    def run(self, step: Step) -> list[Sampled]:
        time.sleep(self.step_s)
        return sample_rows(self._rows(step), lambda slot, _: self._sample(slot))

    def stop(self, slot: int) -> None:
        self._constraints.pop(slot, None)

    def release(self, slot: int) -> None:
        self.stop(slot)
        del self.prompts[slot], self.cells[slot]
        self._n_prompt.pop(slot, None)

    def close(self) -> None:
        self._compiler.close()

    def _rows(self, step: Step) -> Iterator[Row]:
        """Adds the tokens one by one. The logits are empty, a state counts bytes."""
        for span in step.spans:
            positions = span.positions[0].tolist()
            for index, at in enumerate(positions):
                token = span.tokens[index] if isinstance(span, TextSpan) else PICTURE
                self.cells[span.slot].append(at)
                self.prompts[span.slot].append(token)
                if index in span.wanted:
                    yield Row(span, index, NOTHING, self._state(span.slot))

    def _state(self, slot: int) -> npt.NDArray[np.float32]:
        held = [max(token, 0) for token in self._begin(slot)]
        return np.bincount(held, minlength=N_VOCAB).astype(np.float32)

    def _sample(self, slot: int) -> Chosen | EngineError:
        """The next token of the answer, or one that the constraint allows and that
        brings the answer to its end; and the tokens that have no alternative then."""
        token = said = self._say(slot)
        n_likeliest = self._n_likeliest[slot]
        if not (constraint := self._constraints[slot]):
            return Chosen((token,), _logprobs(said, token, n_likeliest))
        try:
            if not constraint.allows(token):
                allowed = constraint.allowed().tolist()
                closing = [byte for byte in (END, *b'}]"0') if byte in allowed]
                token = [*closing, allowed[-1]][0]
            constraint.accept(token)
            tokens = [token]
            if n_likeliest is not None:
                return Chosen((token,), _logprobs(said, token, n_likeliest))
            while len(tokens) < MOST_TOKENS and (forced := constraint.forced()):
                constraint.accept(forced[0])
                tokens.append(forced[0])
        except EngineError as error:
            return error
        return Chosen(tuple(tokens))

    def _begin(self, slot: int) -> list[int]:
        """All tokens of a slot; what is in its prompt may be a fault."""
        held = self.prompts[slot]
        if slot not in self._n_prompt:
            self._n_prompt[slot] = len(held)
            prompt = bytes(token for token in held if 0 <= token < 256)
            for word, fault in self._faults.items():
                if word.encode() in prompt:
                    fault()
        return held

    def _say(self, slot: int) -> int:
        """The token of the script that follows what the slot holds."""
        held = self._begin(slot)
        n_answered = len(held) - self._n_prompt[slot]
        return self._script[min(n_answered, len(self._script) - 1)]


def _logprobs(said: int, token: int, n_likeliest: int | None) -> tuple[Logprobs, ...]:
    """If they are wanted, of `token`: what the script says is as likely as all the
    others together."""
    if n_likeliest is None:
        return ()

    def of(each: int) -> float:
        return math.log(0.5 if each == said else 0.5 / (N_VOCAB - 1))

    likeliest = [said, *(each for each in range(N_VOCAB) if each != said)]
    return (Logprobs(of(token), tuple((t, of(t)) for t in likeliest[:n_likeliest])),)

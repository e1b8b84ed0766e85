"""How each open slot chooses its tokens: what all runtimes share."""

from __future__ import annotations

import logging
from functools import partial

from edge.engine.protocols import Constraint
from edge.engine.step import Chosen
from edge.errors import EngineError
from edge.gguf.tokenizer import BpeTokenizer
from edge.request import SamplingParams
from edge.sampling.filters import Logits
from edge.sampling.sampler import Sampler, check_tokens
from edge.structured.compiler import Compiler

log = logging.getLogger(__name__)


class Samplers:
    """One sampler for each open slot, over the vocabulary of `tokenizer`."""

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        self._n_vocab = tokenizer.n_vocab
        self._compiler = compiler_over(tokenizer)
        self._by_slot: dict[int, Sampler] = {}

    def check(self, sampling: SamplingParams) -> Constraint | None:
        """As `Runtime.check`."""
        check_tokens(sampling, self._n_vocab)
        schema = sampling.grammar
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None
    ) -> None:
        """Raises InvalidRequest when the model cannot sample in this way."""
        self._by_slot[slot] = Sampler(sampling, self._n_vocab, constraint)

    def sample(self, slot: int, logits: Logits) -> Chosen | EngineError:
        """The next tokens of a slot, as `Sampler.sample`. An error is returned: it ends
        one answer, and none of those in the same step."""
        try:
            return self._by_slot[slot].sample(logits)
        except EngineError as error:
            return error
        except Exception:
            log.exception("choosing a token failed")
            return EngineError("Computing this answer failed. Try again.")

    def release(self, slot: int) -> None:
        """Drops the sampler of a slot, if it has one."""
        self._by_slot.pop(slot, None)

    def close(self) -> None:
        self._compiler.close()


def compiler_over(tokenizer: BpeTokenizer) -> Compiler:
    """Makes constraints over the vocabulary of `tokenizer`."""
    tokenize = partial(tokenizer.tokenize, special=False)
    return Compiler(tokenizer.pieces, tokenizer.ends, tokenize)

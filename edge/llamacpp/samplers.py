"""How each open slot chooses its tokens: what all runtimes over a Model share."""

from __future__ import annotations

import logging

from edge.engine.protocols import Constraint
from edge.errors import EngineError
from edge.llamacpp.model import Model
from edge.llamacpp.sampler import Logits, Sampler, check_bias
from edge.request import SamplingParams

log = logging.getLogger(__name__)


class Samplers:
    """One sampler for each open slot, over the vocabulary of `model`. Close it before
    the model."""

    def __init__(self, model: Model) -> None:
        self._n_vocab = model.n_vocab
        self._compiler = model.compiler()
        self._by_slot: dict[int, Sampler] = {}

    def check(self, sampling: SamplingParams) -> Constraint | None:
        """As `Runtime.check`."""
        check_bias(sampling, self._n_vocab)
        schema = sampling.grammar
        return self._compiler.constraint(schema) if schema else None

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None
    ) -> None:
        """Raises InvalidRequest when the model cannot sample in this way."""
        self._by_slot[slot] = Sampler(sampling, self._n_vocab, constraint)

    def sample(self, slot: int, logits: Logits) -> tuple[int, ...] | EngineError:
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
        """Frees the sampler of a slot, if it has one."""
        if sampler := self._by_slot.pop(slot, None):
            sampler.close()

    def close(self) -> None:
        for slot in list(self._by_slot):
            self.release(slot)
        self._compiler.close()

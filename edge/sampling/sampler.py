"""The sampler of one slot: a chain over the tokens that a constraint allows."""

from __future__ import annotations

from edge.engine.protocols import Constraint
from edge.engine.step import MOST_TOKENS, Chosen
from edge.errors import InvalidRequest
from edge.request import SamplingParams
from edge.sampling.chain import Chain
from edge.sampling.filters import Logits
from edge.sampling.logprobs import logprobs


class Sampler:
    """Chooses tokens from logits, and remembers them for the penalties.

    Raises InvalidRequest when the parameters name a token that the model lacks.
    """

    def __init__(
        self,
        params: SamplingParams,
        n_vocab: int,
        constraint: Constraint | None = None,
    ) -> None:
        check_tokens(params, n_vocab)
        self._n_vocab = n_vocab
        self._is_greedy = params.is_greedy
        self._n_likeliest = params.logprobs
        self._constraint = constraint
        self._chain = Chain(params)

    def sample(self, logits: Logits) -> Chosen:
        """The next token, by logits f32 [vocabulary], and the tokens behind it that
        have no alternative, for which no logits are needed: at most MOST_TOKENS.

        Raises EngineError when no token can be chosen.
        """
        logits = logits[: self._n_vocab]
        tokens = [self._accept(self._choose(logits))]
        if self._n_likeliest is not None:  # the next one needs its own logits
            return Chosen(
                tuple(tokens), (logprobs(logits, tokens[0], self._n_likeliest),)
            )
        while self._constraint and len(tokens) < MOST_TOKENS:
            if not (forced := self._constraint.forced()):
                break
            tokens.append(self._accept(forced[0]))
        return Chosen(tuple(tokens))

    def _accept(self, token: int) -> int:
        if self._constraint:
            self._constraint.accept(token)
        self._chain.accept(token)
        return token

    def _choose(self, logits: Logits) -> int:
        constraint = self._constraint
        if constraint is None:
            return self._chain.choose(logits)
        if forced := constraint.forced():
            return forced[0]
        if self._is_greedy:  # if the best of all tokens is allowed, no mask is needed
            best = self._chain.choose(logits)
            if constraint.allows(best):
                return best
        return self._chain.choose(logits, constraint.allowed())


def check_tokens(params: SamplingParams, n_vocab: int) -> None:
    """Raises InvalidRequest when a bias or a stop is for a token that the model
    lacks."""
    named = {
        "logit_bias": [token for token, _ in params.logit_bias],
        "stop_token_ids": params.stop_token_ids,
    }
    for field, tokens in named.items():
        for token in tokens:
            if token >= n_vocab:
                raise InvalidRequest(
                    f"{field} names token {token}, and this model has {n_vocab}.",
                    param=field,
                )

"""What an answer must keep to: its form, and where it may end."""

from __future__ import annotations

from edge.engine.min_tokens import MinTokens
from edge.engine.protocols import Constraint, Runtime
from edge.request import SamplingParams


def constrain(sampling: SamplingParams, runtime: Runtime) -> Constraint | None:
    """The constraint on an answer, if it has any. As `Runtime.check`."""
    constraint = runtime.check(sampling)
    if sampling.min_tokens:
        ends = {*runtime.ends, *sampling.stop_token_ids}
        constraint = MinTokens(sampling.min_tokens, ends, runtime.n_vocab, constraint)
    return constraint

"""What an answer must keep to: its form, and where it may end."""

from __future__ import annotations

from edge.engine.min_tokens import MinTokens
from edge.engine.protocols import Constraint, Runtime
from edge.engine.thinking import Thinking
from edge.qwen3vl.thoughts import CLOSE
from edge.request import SamplingParams


def constrain(
    sampling: SamplingParams, runtime: Runtime, *, is_thinking: bool
) -> Constraint | None:
    """The constraint on an answer, if it has any; one that `is_thinking` begins with
    thoughts. As `Runtime.check`."""
    constraint = runtime.check(sampling)
    budget = sampling.thinking_budget
    if is_thinking and (constraint or budget is not None):
        close = runtime.tokenize(CLOSE, special=True)
        ends = {*runtime.ends, *sampling.stop_token_ids}
        constraint = Thinking(close, budget, ends, runtime.n_vocab, constraint)
    if sampling.min_tokens:
        ends = {*runtime.ends, *sampling.stop_token_ids}
        constraint = MinTokens(sampling.min_tokens, ends, runtime.n_vocab, constraint)
    return constraint

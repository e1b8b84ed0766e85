"""Constraints that leave out the ends of an answer, and what they hold."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from edge.engine.min_tokens import MinTokens
from edge.engine.thinking import Thinking

N_VOCAB, ENDS = 151_936, (151_643, 151_645)


def test_a_question_that_waits_holds_no_vocabulary() -> None:
    MinTokens(5, ENDS, N_VOCAB).allowed()  # what all share
    tracemalloc.start()
    held = [Thinking((7,), 3, ENDS, N_VOCAB, MinTokens(5, ENDS, N_VOCAB))]
    held += [Thinking((7,), 3, ENDS, N_VOCAB) for _ in range(99)]
    ids = [one.allowed() for one in held]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 200_000
    assert all(one is other for one, other in pairwise(ids))


def test_before_the_fewest_tokens_all_but_ends_may_follow() -> None:
    one = MinTokens(2, ENDS, N_VOCAB)
    for n_allowed in (N_VOCAB - 2, N_VOCAB - 2, N_VOCAB):
        allowed = one.allowed()
        assert len(allowed) == n_allowed
        assert one.allows(ENDS[0]) == (n_allowed == N_VOCAB)
        one.accept(5)

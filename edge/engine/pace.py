"""How long a stream pauses between two tokens, for stages of a picture and pieces of a
prompt.

Answers wait for the whole pause while a picture is encoded: it brings another answer,
which shares the later steps, and a step of four answers costs little more than a step
of one.
"""

from __future__ import annotations

from edge.engine.costs import Costs, Curve

PAUSE_S = 0.3  # the longest that is wanted, from the end of a step to that of the next
PIECE = 16  # tokens; pieces are multiples of it, and fewer cost nearly the same
WORTH = 1.05  # a larger piece may take this many times the least seconds for a token


class Pace:
    """Fits stages and pieces into pauses, by the seconds that `costs` predicts.

    A step computes at most `chunk_tokens` of prompts. `now` is in seconds of one
    monotonic clock; `beside` means that the encoder computes at the same time.
    """

    def __init__(self, costs: Costs, chunk_tokens: int) -> None:
        self._costs = costs
        self._chunk_tokens = chunk_tokens
        self._stepped_at = 0.0
        self.n_stages = 0  # since the latest step

    def observe_step(
        self, n_tokens: int, seconds: float, now: float, *, beside: bool
    ) -> None:
        """A step has ended now."""
        self._steps(beside).observe(n_tokens, seconds)
        self._stepped_at, self.n_stages = now, 0

    def observe_stage(self, n_image_tokens: int, seconds: float) -> None:
        """A stage of a picture of this size has ended."""
        self._costs.stage.observe(n_image_tokens, seconds)
        self.n_stages += 1

    def piece(
        self, now: float, n_beside: int, *, beside: bool, may_wait: bool = False
    ) -> int:
        """How many tokens of prompts a step with `n_beside` tokens of answers computes
        now: the largest piece within the pause that wastes no time. 0 if none fits
        after the latest stages and the prompts `may_wait` for the next step."""
        if not n_beside:
            return self._chunk_tokens
        left_s = self._stepped_at + PAUSE_S - now
        token_s = {}
        for n in range(PIECE, self._chunk_tokens + 1, PIECE):
            step_s = self._steps(beside).seconds(n + n_beside)
            if step_s is not None and step_s <= left_s:
                token_s[n] = step_s / (n + n_beside)
        if not token_s:
            is_late = may_wait and self.n_stages
            return 0 if is_late else min(PIECE, self._chunk_tokens)
        most_s = WORTH * min(token_s.values())
        return max(n for n in token_s if token_s[n] <= most_s)

    def left_s(self, now: float, n_tokens: int, *, beside: bool) -> float:
        """Seconds until the next step, of `n_tokens`, is due."""
        step_s = self._steps(beside).seconds(n_tokens) or 0.0
        return self._stepped_at + PAUSE_S - step_s - now

    def allows_stage(self, now: float, n_answers: int, n_image_tokens: int) -> bool:
        """Whether a stage comes before the next step of `n_answers`. One always does,
        or the picture might wait for ever; more have to fit into the pause."""
        stage_s = self._costs.stage.seconds(n_image_tokens)
        if not self.n_stages or stage_s is None:
            return not self.n_stages
        return stage_s <= self.left_s(now, n_answers, beside=False)

    def _steps(self, beside: bool) -> Curve:
        return self._costs.step_beside if beside else self._costs.step

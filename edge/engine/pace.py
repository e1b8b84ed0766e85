"""How much of a prompt one step computes beside running answers, and how often answers
go on while a picture is encoded.

The more tokens a step has, the less each of them costs, but the longer every answer
pauses. So a prompt gets large steps while nothing is being answered, and otherwise what
fits into a short pause. How much that is, is measured as the machine works.
"""

from __future__ import annotations

PAUSE_S = 0.4  # for prompts, between two tokens of an answer
FEWEST = 16  # tokens; fewer cost nearly the same
NEWEST = 0.3  # the weight of the latest step in what a token takes
REST = 4  # a rest is this many times as long as the step before it,
MOST_REST_S = 0.4  # but not longer


class Pace:
    """Learns what a token takes, and says how many of a prompt may come at once: at
    most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._token_s: float | None = None

    def budget(self, *, is_answering: bool) -> int:
        """How many tokens of prompts the next step may have."""
        if not is_answering:
            return self._most
        if not self._token_s:
            return min(FEWEST, self._most)
        fitting = int(min(PAUSE_S / self._token_s, self._most))
        return max(FEWEST, fitting - fitting % FEWEST)

    def observe(self, n_tokens: int, seconds: float) -> None:
        """A step of `n_tokens` tokens took so long."""
        if n_tokens < FEWEST:
            return
        token_s = seconds / n_tokens
        if not self._token_s:
            self._token_s = token_s
        self._token_s += NEWEST * (token_s - self._token_s)


def rest_after(step_s: float) -> float:
    """How long answers rest after a step of `step_s` while a picture is encoded.

    The question about that picture will soon be answered too, and a step for four
    answers costs hardly more than one for one. Measured with four users on two cores:
    0.234 answers a second and first words after 6 s; without a rest 0.194 and 12 s.
    """
    return min(REST * step_s, MOST_REST_S)

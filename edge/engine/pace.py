"""Who gets how much of the cores: how much of a prompt is computed between two tokens
of a running answer, and how often and with how many threads answers go on beside the
vision tower.

The more rows a step has, the less each of them costs, but the longer everybody else
waits. So a prompt takes large bites while nobody is being answered, and as much as fits
into a short pause while somebody is. How much that is, each machine shows as it works.
"""

from __future__ import annotations

PAUSE_S = 0.4  # between two tokens of an answer, and a step of answers comes on top
REST = 4  # times as long as a step is the rest after it, while a picture is read,
MOST_REST_S = 0.4  # but not longer
FEWEST = 16  # rows; fewer cost nearly the same
NEWEST = 0.3  # the weight of the latest step in what a row takes


class Pace:
    """Learns what a row takes, and says how many may come at once: at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._row_s = 0.0

    def rows(self, *, somebody_waits: bool) -> int:
        """How many rows of a prompt the next step may have."""
        if not somebody_waits:
            return self._most
        if not self._row_s:
            return min(FEWEST, self._most)
        fitting = int(min(PAUSE_S / self._row_s, self._most))
        return max(FEWEST, fitting - fitting % FEWEST)

    def observe(self, n_rows: int, seconds: float) -> None:
        """A step of `n_rows` rows took so long."""
        if n_rows < FEWEST:
            return
        row_s = seconds / n_rows
        if not self._row_s:
            self._row_s = row_s
        self._row_s += NEWEST * (row_s - self._row_s)


def rest_after(step_s: float) -> float:
    """How long answers rest after a step of so many seconds while a picture is read.

    Whoever is answered now will be joined by whoever sent that picture, and a step for
    four costs hardly more than one for one. Measured with four users on two cores: with
    a rest 0.234 answers a second and first words after 6 s, without 0.194 and 12 s.
    """
    return min(REST * step_s, MOST_REST_S)


def language_threads(n_threads: int, *, tower_works: bool) -> int:
    """Threads of the language model: half of all while the vision tower computes,
    which has as many as there are cores. With all threads for both they wait for each
    other: a token took 0.5 instead of 0.16 s on two cores.
    """
    return n_threads - n_threads // 2 if tower_works else n_threads

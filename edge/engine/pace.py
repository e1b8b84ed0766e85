"""Who gets how much of the cores: how much of a prompt is computed between two tokens
of a running answer, and how many threads compute beside the vision tower.

Measured with Qwen3-VL-2B on two cores: a row of a picture took 8 ms in batches of 256,
10 ms in batches of 64 and 13 ms in batches of 32, but a batch of 256 makes everybody
else wait two seconds. So a prompt takes large bites while nobody is being answered, and
as much as fits into a short pause while somebody is. How much that is, each machine
shows while it works.
"""

from __future__ import annotations

PAUSE_S = 0.65  # between two tokens of an answer, and a step of answers comes on top
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

    def took(self, n_rows: int, seconds: float) -> None:
        """A step of `n_rows` rows took so long."""
        if n_rows < FEWEST:
            return
        row_s = seconds / n_rows
        if not self._row_s:
            self._row_s = row_s
        self._row_s += NEWEST * (row_s - self._row_s)


def language_threads(n_threads: int, *, tower_works: bool) -> int:
    """Threads for the language model: half of all while the vision tower computes.

    The tower has as many threads as there are cores. On two cores a picture took 6.1 s
    beside an answer in one thread, with a token each 0.16 s: a little less than one
    after the other. With all threads for both, llama.cpp's spent their time waiting for
    each other, and a picture took 7.4 s beside a token each 0.5 s.
    """
    return n_threads - n_threads // 2 if tower_works else n_threads

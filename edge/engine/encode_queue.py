"""Which picture is encoded next: one at a time, in turn for each sequence, so that one
picture never waits for all frames of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edge.engine.sequence import PicturePiece, Sequence
from edge.images import Picture


class PictureKey(NamedTuple):
    """Embeddings are shared by equal pictures of one scope only."""

    scope: str
    sha256: str


@dataclass(frozen=True)
class EncodeJob:
    """A picture of `n_tokens` image tokens to encode, for all sequences that lack it.
    Its embeddings are cached if it `is_kept`.

    An encoder that can pause computes it in stages, another one in a single stage.
    """

    key: PictureKey
    picture: Picture
    n_tokens: int
    is_kept: bool = True


class EncodeQueue:
    """Sequences that lack embeddings: the first is served, and goes to the end."""

    def __init__(self) -> None:
        self.current: EncodeJob | None = None
        self.is_computing = False  # else the current one waits between two stages
        self.n_stages_done = 0  # of the current one
        self._sequences: list[Sequence] = []

    @property
    def upcoming(self) -> EncodeJob | None:
        """The picture of the next stage: the current one, or the next in the queue."""
        if self.current or not self._sequences:
            return self.current
        first = self._sequences[0]
        sha256, *_ = first.missing_pictures
        n_tokens = next(
            piece.n_tokens
            for piece in first.pieces
            if isinstance(piece, PicturePiece) and piece.ref.sha256 == sha256
        )
        key, picture = PictureKey(first.scope, sha256), first.pixels[sha256]
        return EncodeJob(key, picture, n_tokens, first.cache.writes)

    @property
    def is_abandoned(self) -> bool:
        """Whether no sequence waits any more for the picture that is being encoded."""
        return self.current is not None and not self.waiting_for(self.current)

    def precedes(self, prompts: Iterable[Sequence]) -> bool:
        """Whether the upcoming picture has begun, or all these prompts came after it,
        or are some of the many of a request: there may always be another one."""
        if self.current:
            return True
        first = self._sequences[0]
        return all(
            each.arrival > first.arrival
            or (each.has_siblings and not first.has_siblings)
            for each in prompts
        )

    def add(self, sequence: Sequence) -> None:
        self._sequences.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Does nothing if it is not there."""
        if sequence in self._sequences:
            self._sequences.remove(sequence)

    def start_stage(self) -> EncodeJob | None:
        """The upcoming picture is computed now. Returns it if this is its beginning."""
        is_new = self.current is None
        self.current, self.is_computing = self.upcoming, True
        if is_new:
            self.n_stages_done = 0
        return self.current if is_new else None

    def end_stage(self) -> None:
        """The current picture waits for its next stage."""
        self.is_computing = False
        self.n_stages_done += 1

    def finish(self) -> list[Sequence]:
        """The current picture is done or given up. Returns the sequences that wait for
        it; they stay in the queue, at its end."""
        job, self.current, self.is_computing = self.current, None, False
        served = self.waiting_for(job) if job else []
        others = [each for each in self._sequences if each not in served]
        self._sequences = others + served
        return served

    def waiting_for(self, job: EncodeJob) -> list[Sequence]:
        """The sequences that lack its picture."""
        return [
            sequence
            for sequence in self._sequences
            if sequence.scope == job.key.scope
            and job.key.sha256 in sequence.missing_pictures
        ]

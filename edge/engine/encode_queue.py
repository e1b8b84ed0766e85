"""Which picture is encoded next: one at a time, for the sequence that came first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge.engine.sequence import Sequence
from edge.images import Picture


class PictureKey(NamedTuple):
    """Embeddings are shared by equal pictures of one scope only."""

    scope: str
    sha256: str


@dataclass(frozen=True)
class EncodeJob:
    """A picture to encode, for all sequences that lack it."""

    key: PictureKey
    picture: Picture


class EncodeQueue:
    """Sequences that lack embeddings, first come first served."""

    def __init__(self) -> None:
        self.current: EncodeJob | None = None
        self._sequences: list[Sequence] = []

    @property
    def is_abandoned(self) -> bool:
        """Whether no sequence waits any more for the picture that is being encoded."""
        return self.current is not None and not self._waiting_for(self.current)

    def add(self, sequence: Sequence) -> None:
        self._sequences.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Does nothing if it is not there."""
        if sequence in self._sequences:
            self._sequences.remove(sequence)

    def start_next(self) -> EncodeJob | None:
        """The picture to encode now; None while another one is being encoded."""
        if self.current or not self._sequences:
            return None
        first = self._sequences[0]
        sha256, *_ = first.missing_pictures
        key = PictureKey(first.scope, sha256)
        self.current = EncodeJob(key, first.pixels[sha256])
        return self.current

    def finish(self) -> list[Sequence]:
        """The current picture is done or given up. Returns the sequences that wait for
        it; they stay in the queue."""
        job, self.current = self.current, None
        return self._waiting_for(job) if job else []

    def _waiting_for(self, job: EncodeJob) -> list[Sequence]:
        return [
            sequence
            for sequence in self._sequences
            if sequence.scope == job.key.scope
            and job.key.sha256 in sequence.missing_pictures
        ]

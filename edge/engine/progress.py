"""What the client of a question is told while it waits for the first text. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge.engine.scheduler import Scheduler
from edge.engine.sequence import Sequence
from edge.engine.step import Step
from edge.events import Encoding, Prefilling


def encoding(
    scheduler: Scheduler, n_stages: int
) -> Iterator[tuple[Sequence, Encoding]]:
    """For each question about the picture that the encoder has paused in: how much of
    it is encoded."""
    pictures = scheduler.pictures
    if (job := pictures.current) is None:
        return
    for sequence in pictures.waiting_for(job):
        hashes = sequence.picture_hashes
        number, n_done = hashes.index(job.key.sha256), pictures.n_stages_done
        yield sequence, Encoding(number, len(hashes), n_done, n_stages)


def prefilling(
    scheduler: Scheduler, step: Step
) -> Iterator[tuple[Sequence, Prefilling]]:
    """For each question that `step` computes a piece of the prompt of: how much was
    computed before."""
    for slot, sequence in scheduler.prefilling.items():
        if slot in step.slots:
            yield sequence, Prefilling(sequence.n_prefilled, sequence.n_prompt)

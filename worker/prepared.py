"""What the preflight check prepared (tokens, compiled grammar), kept for the claim."""

from __future__ import annotations

import threading

from edge.engine.prepare import Prepared

MOST_JOBS = 64
MOST_TOKENS = 1 << 18  # of all their prompts: about 13 MB
MOST_SCHEMA_CHARACTERS = 1 << 16  # compiled they take up to 200 times as much memory


class PreparedJobs:
    """Prepared questions by job id, each taken once. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_job: dict[str, Prepared] = {}

    def put(self, job_id: str, prepared: Prepared) -> None:
        """Keeps what `Engine.check` made, unless there is no room: the jobs that came
        earlier are claimed first."""
        with self._lock:
            after = [*self._by_job.values(), prepared]
            if (
                len(after) <= MOST_JOBS
                and sum(one.n_held for one in after) <= MOST_TOKENS
                and sum(map(_schema_characters, after)) <= MOST_SCHEMA_CHARACTERS
            ):
                self._by_job[job_id] = prepared

    def take(self, job_id: str) -> Prepared | None:
        """What was kept for a job; None when there is nothing."""
        with self._lock:
            return self._by_job.pop(job_id, None)

    def job_ids(self) -> list[str]:
        with self._lock:
            return list(self._by_job)


def _schema_characters(prepared: Prepared) -> int:
    return len(prepared.request.sampling.grammar or "")

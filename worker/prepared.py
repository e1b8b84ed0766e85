"""What the preflight check prepared (tokens, compiled grammar), kept for the claim."""

from __future__ import annotations

import threading

from edge.engine.prepare import Prepared

MOST_JOBS = 64
MOST_TOKENS = 1 << 18  # of all their prompts: about 26 MB


class PreparedJobs:
    """Prepared questions by job id, each taken once. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_job: dict[str, Prepared] = {}
        self._n_tokens: dict[str, int] = {}

    def put(self, job_id: str, prepared: Prepared, n_tokens: int) -> None:
        """Keeps what `Engine.check` made, unless it is full: the jobs that it has are
        claimed first."""
        with self._lock:
            is_full = len(self._by_job) >= MOST_JOBS
            if is_full or sum(self._n_tokens.values()) + n_tokens > MOST_TOKENS:
                return
            self._by_job[job_id] = prepared
            self._n_tokens[job_id] = n_tokens

    def take(self, job_id: str) -> Prepared | None:
        """What was kept for a job; None when there is nothing."""
        with self._lock:
            self._n_tokens.pop(job_id, None)
            return self._by_job.pop(job_id, None)

    def job_ids(self) -> list[str]:
        with self._lock:
            return list(self._by_job)

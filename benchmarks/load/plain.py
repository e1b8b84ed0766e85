"""Requests beside the questions: pages, jobs. Knows nothing about Locust."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.load.answer import Answer
from benchmarks.load.exchange import REFUSED, Reply
from benchmarks.record import Outcome

TIMEOUT_S = 60.0


class Response(NamedTuple):
    """`job_id`: of the question; "" for other requests."""

    status: int
    body: bytes
    job_id: str


def fetch(
    url: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    leave_early: bool = False,
) -> Response:
    """One request over its own connection. `leave_early`: closes it after the headers
    of the response. Raises OSError and HTTPException."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        received = b"" if leave_early else response.read()
        job_id = response.headers.get("x-job-id", "")
        return Response(response.status, received, job_id)
    finally:
        connection.close()


class Errand:
    """Measures some requests as one, and judges them by the status of the last."""

    def __init__(self) -> None:
        self._answer = Answer(perf_counter())

    def reply(self, status: int, *expected: int) -> Reply:
        """Answered if the status is expected, refused or failed if not."""
        took_s = perf_counter() - self._answer.asked_at
        if status in expected:
            return Reply(self._answer, took_s, "answered")
        outcome: Outcome = "refused" if status in REFUSED else "failed"
        return Reply(self._answer, took_s, outcome, str(status))

    def broken(self, error: OSError | HTTPException) -> Reply:
        took_s = perf_counter() - self._answer.asked_at
        return Reply(self._answer, took_s, "failed", type(error).__name__)

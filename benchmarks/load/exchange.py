"""One question on its way: hears the response as it comes and says how it ended.

Knows http.client's response and its socket; knows nothing about who asks, or what.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from time import perf_counter

from benchmarks.load.answer import Answer, error_code
from benchmarks.load.sse import EventStream
from benchmarks.record import Outcome

READ_BYTES = 65_536  # at most; `read1` does not wait for as many
DRAIN_S = 1.0  # for what follows the end of an answer, or the connection is given up
REFUSED = (429, 503)


@dataclass(frozen=True)
class Patience:
    """When a client hangs up, seconds after it began to ask; None: it does not."""

    timeout_s: float | None = None  # then it failed, wherever the answer is
    hang_up_s: float | None = None  # then it was aborted, as meant
    hang_up_pieces: int | None = None  # likewise, when so much text has come

    @property
    def ends_s(self) -> float | None:
        times = [s for s in (self.timeout_s, self.hang_up_s) if s is not None]
        return min(times, default=None)

    @property
    def end(self) -> tuple[Outcome, str]:
        """What it is called when the time is over."""
        if self.ends_s is not None and self.ends_s == self.hang_up_s:
            return "aborted", ""
        return "failed", "timeout"


@dataclass(frozen=True)
class Reply:
    """What came of one question. Times in seconds."""

    answer: Answer
    e2e_s: float
    outcome: Outcome
    code: str = ""  # of what is no answer, see `record.Sample`
    cached: bool = False
    retry_after_s: float | None = None


class HungUp(Exception):
    """Raised when a client has heard as much as it wanted."""


class Exchange:
    """A question and its response, until the client has heard enough."""

    def __init__(self, patience: Patience) -> None:
        self.sock: socket.socket | None = None
        self.response: HTTPResponse | None = None
        self._patience = patience
        self._answer = Answer(perf_counter())
        self._ended_at = 0.0
        self._outcome: Outcome = "failed"
        self._code = ""

    def left_s(self) -> float | None:
        """Seconds of patience. Raises TimeoutError when there are none."""
        if self._patience.ends_s is None:
            return None
        left = self._answer.asked_at + self._patience.ends_s - perf_counter()
        if left <= 0:
            raise TimeoutError
        return left

    def await_next(self) -> None:
        """Lets the next wait on the socket take as long as there is patience."""
        assert self.sock
        self.sock.settimeout(self.left_s())

    def read_answer(self) -> None:
        """Hears the response until the answer is over.

        Raises HungUp, or what the connection raises.
        """
        assert self.response
        if self.response.status != 200:
            refused = self.response.status in REFUSED
            self._conclude("refused" if refused else "failed", self._status_code())
            return
        events, answer = EventStream(), self._answer
        while not answer.is_done:
            self.await_next()
            received = self.response.read1(READ_BYTES)
            if not received:
                break
            now = perf_counter()
            for data in events.feed(received):
                answer.receive(data, now)
            wanted = self._patience.hang_up_pieces
            if wanted is not None and len(answer.pieces) >= wanted:
                raise HungUp
        self._conclude_stream("cut short")

    def drain(self) -> bool:
        """Whether the response could be read to its end, so that another may follow."""
        assert self.response and self.sock
        try:
            give_up = perf_counter() + DRAIN_S
            self.sock.settimeout(DRAIN_S)
            while perf_counter() < give_up:
                if not self.response.read1(READ_BYTES):
                    return True
        except (OSError, HTTPException):
            pass
        return False

    def conclude_early(self, error: Exception) -> None:
        """Ends it with what was raised on the way."""
        match error:
            case HungUp():
                self._conclude("aborted")
            case TimeoutError():
                self._conclude(*self._patience.end)
            case _:
                self._conclude_stream("cut short" if self.response else "connection")

    def reply(self) -> Reply:
        headers = self.response.headers if self.response else HTTPMessage()
        return Reply(
            self._answer,
            self._ended_at - self._answer.asked_at,
            self._outcome,
            self._code,
            cached=headers.get("x-cache", "").lower() == "hit",
            retry_after_s=_seconds(headers.get("retry-after", "")),
        )

    def _status_code(self) -> str:
        """The code of an error body, else the HTTP status."""
        assert self.response
        status = str(self.response.status)
        try:
            self.await_next()
            return error_code(json.loads(self.response.read()), status)
        except (ValueError, OSError, HTTPException):
            return status  # it is a refusal, whatever became of its reason

    def _conclude_stream(self, code: str) -> None:
        """Nothing more comes: it was an answer if the server had said it is whole."""
        if self._answer.error_code:
            self._conclude("failed", self._answer.error_code)
        elif self._answer.is_finished:
            self._conclude("answered")
        else:
            self._conclude("failed", code)

    def _conclude(self, outcome: Outcome, code: str = "") -> None:
        self._ended_at, self._outcome, self._code = perf_counter(), outcome, code


def _seconds(text: str) -> float | None:
    """A Retry-After in seconds; one with a date is not followed."""
    return float(text) if text.strip().isdecimal() else None

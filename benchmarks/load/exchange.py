"""One request over a connection: reads the response as it comes, and how it ended.

Knows the response of http.client and its socket; knows neither users nor questions.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from time import perf_counter

from benchmarks.load.answer import BAD_BODY, Answer, error_code
from benchmarks.load.sse import EventStream
from benchmarks.record import Outcome

READ_BYTES = 65_536  # at most; `read1` returns what has arrived
DRAIN_S = 1.0  # for the rest after an answer; longer, and the connection is closed
REFUSED = (429, 503)


@dataclass(frozen=True)
class Patience:
    """When a client gives up, in seconds after its request began; None: never."""

    timeout_s: float | None = None  # the request has failed
    hang_up_s: float | None = None  # the request is aborted on purpose
    hang_up_pieces: int | None = None  # aborted after this many pieces of text

    @property
    def ends_s(self) -> float | None:
        times = [s for s in (self.timeout_s, self.hang_up_s) if s is not None]
        return min(times, default=None)

    @property
    def is_abort(self) -> bool:
        """Whether the client aborts at `ends_s`, instead of timing out."""
        return self.ends_s is not None and self.ends_s == self.hang_up_s


@dataclass(frozen=True)
class Reply:
    """The result of one request. Times in seconds."""

    answer: Answer
    e2e_s: float
    outcome: Outcome
    code: str = ""  # without an answer, see `record.Sample`
    cached: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True)
class _Ending:
    at: float
    outcome: Outcome
    code: str


class HungUp(Exception):
    """Raised when the client has received as many pieces as it wanted."""


class Exchange:
    """A request and its response, until the client has read enough."""

    def __init__(self, patience: Patience) -> None:
        self.sock: socket.socket | None = None
        self.response: HTTPResponse | None = None
        self._patience = patience
        self._answer = Answer(perf_counter())
        self._ending: _Ending | None = None

    def left_s(self) -> float | None:
        """Seconds until the client gives up. Raises TimeoutError when none are left."""
        if self._patience.ends_s is None:
            return None
        left_s = self._answer.asked_at + self._patience.ends_s - perf_counter()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def limit_next_wait(self) -> None:
        """Lets the next operation of the socket take as long as the client waits."""
        assert self.sock
        self.sock.settimeout(self.left_s())

    def read_answer(self) -> None:
        """Reads the response until the answer is complete.

        Raises HungUp, and the errors of the connection.
        """
        assert self.response
        if self.response.status != 200:
            is_refused = self.response.status in REFUSED
            self._conclude("refused" if is_refused else "failed", self._status_code())
            return
        if self.response.headers.get_content_type() == "application/json":
            self.limit_next_wait()
            self._answer.receive_whole(self.response.read())
            self._conclude_stream(BAD_BODY)
            return
        events, answer = EventStream(), self._answer
        while not answer.is_done:
            self.limit_next_wait()
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
        """Whether the response was read to its end, so that another may follow."""
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
        """Ends the exchange with an error that was raised on the way."""
        match error:
            case HungUp():
                self._conclude("aborted")
            case TimeoutError() if self._patience.is_abort:
                self._conclude("aborted")
            case TimeoutError():
                self._conclude("failed", "timeout")
            case _:
                self._conclude_stream("cut short" if self.response else "connection")

    def reply(self) -> Reply:
        assert self._ending
        headers = self.response.headers if self.response else HTTPMessage()
        return Reply(
            self._answer,
            self._ending.at - self._answer.asked_at,
            self._ending.outcome,
            self._ending.code,
            cached=headers.get("x-cache", "").lower() == "hit",
            retry_after_s=_seconds(headers.get("retry-after", "")),
        )

    def _status_code(self) -> str:
        """The code in an error body, else the HTTP status."""
        assert self.response
        status = str(self.response.status)
        try:
            self.limit_next_wait()
            return error_code(json.loads(self.response.read()), status)
        except (ValueError, OSError, HTTPException):
            return status  # the body is broken, but the status is known

    def _conclude_stream(self, code: str) -> None:
        """Nothing more comes: an answer if the server has said that it is complete."""
        if self._answer.error_code:
            self._conclude("failed", self._answer.error_code)
        elif self._answer.is_finished:
            self._conclude("answered")
        else:
            self._conclude("failed", code)

    def _conclude(self, outcome: Outcome, code: str = "") -> None:
        self._ending = _Ending(perf_counter(), outcome, code)


def _seconds(text: str) -> float | None:
    """A Retry-After in seconds; None for a date."""
    return float(text) if text.strip().isdecimal() else None

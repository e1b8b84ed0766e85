"""Questions that HTTP requests hold, asked in the same way for every API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request

from edge.errors import EdgeError
from ui.asking import Asked
from ui.body import Bodies
from ui.client import Client
from ui.event_streams import unless_gone
from ui.meter import Meter
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.request_caller import caller_of, limits_of, longest_answer, submission_of

T = TypeVar("T")


@dataclass(frozen=True)
class Received(Generic[T]):
    """An accepted question, how its client wants the `n_answers`, which may hold calls
    if it `has_tools`, and what its API keeps of the body."""

    asked: Asked
    streams: bool
    includes_usage: bool
    has_tools: bool
    n_answers: int
    kept: T

    @property
    def headers(self) -> dict[str, str]:
        """Of the response, with the ids of its jobs; there is none for a known
        answer."""
        if self.asked.is_cached:
            return {"x-cache": "hit"}
        return {"x-cache": "miss", "x-job-id": ", ".join(self.asked.job.job_ids)}


class Questions:
    """Asks them over `client`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._bodies = Bodies(client.metrics, client.in_flight)

    async def receive(
        self, http: Request, read: Callable[[bytearray], tuple[ChatBody, T]]
    ) -> Received[T]:
        """Reads and asks the question of a request. `read` translates its body to that
        of /v1/chat/completions, and says what must be kept of it for the answer. When
        this returns nothing keeps the bytes of the pictures alive.

        Raises the EdgeError that refuses it.
        """
        client = self._client
        meter = await self._charge_request(http)

        def build(data: bytearray) -> tuple[ParsedQuestion, T]:
            body, kept = read(data)
            body.refuse_unsupported()
            default = client.settings.answer_tokens
            most = longest_answer(body.longest_answer, default, limits_of(http))
            # 32 MiB take a while: only a named question needs it
            is_named = "idempotency-key" in http.headers
            name = hashlib.sha256(data).hexdigest() if is_named else ""
            question = ParsedQuestion(
                body, most, caller_of(http), name, client.picture_hosts
            )
            return question, kept

        async with self._bodies.read(http, build) as (question, kept):
            with client.metrics.question() as watch:
                watch.of(caller_of(http), question.model)
                submission = submission_of(
                    http,
                    question.body_hash,
                    max_tokens=question.max_tokens,
                    is_batch=question.is_batch,
                    streams=question.streams,
                    has_tools=question.has_tools,
                    n_answers=question.n_answers,
                    n_computed=question.n_computed,
                )
                work = client.ask(submission, question, meter, watch)
                asked = await unless_gone(http, work)
                return Received(
                    asked,
                    question.streams,
                    question.includes_usage,
                    question.has_tools,
                    question.n_answers,
                    kept,
                )

    async def _charge_request(self, http: Request) -> Meter:
        """Charges the request before its body is read, which costs time too. Returns
        the meter for the rest of the question."""
        caller = caller_of(http)
        meter = Meter(
            self._client.ledger, caller, limits_of(http), http.state.ratelimit
        )
        try:
            await meter.charge("requests", 1)
        except EdgeError as refusal:
            self._client.metrics.refused(refusal, caller)
            raise
        return meter

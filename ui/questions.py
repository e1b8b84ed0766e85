"""Questions that HTTP requests hold, asked in the same way for every API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fastapi import Request

from edge.errors import EdgeError
from edge.jobs.fleet import CHAT, WorkerInfo
from edge.jobs.submission import Submission
from edge.request import Wants
from ui.asking import CAPABILITY, Asked
from ui.body import Bodies
from ui.client import Client
from ui.event_streams import unless_gone
from ui.meter import Meter
from ui.metrics import Stopwatch
from ui.openai.body import ChatBody
from ui.openai.ready_task import without_task
from ui.parsed_question import ParsedQuestion
from ui.per_page import ask_each
from ui.request_caller import caller_of, limits_of, longest_answer, submission_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Check = Callable[[WorkerInfo], None]  # raises the EdgeError that refuses it


@dataclass(frozen=True)
class Received(Generic[T]):
    """An accepted question, how its client wants the `n_answers`, which may hold calls
    if it `has_tools`, or answers to several pages in one if it `has_pages`, and what
    its API keeps of the body."""

    asked: Asked
    streams: bool
    includes_usage: bool
    has_tools: bool
    n_answers: int
    has_pages: bool
    kept: T

    @property
    def headers(self) -> dict[str, str]:
        """Of the response, with the ids of its jobs, and what is seen of videos; there
        are none for a known answer."""
        if self.asked.is_cached:
            return {"x-cache": "hit"}
        if self.has_pages:  # each with a job of its own, most of which do not exist yet
            return {"x-cache": "miss"}
        seen = [
            f"frames={clip.n_frames};seconds={clip.seconds:.1f};tokens={clip.n_tokens}"
            for clip in self.asked.clips
        ]
        videos = {"x-video": ", ".join(seen)} if seen else {}
        job_ids = ", ".join(self.asked.job.job_ids)
        return {"x-cache": "miss", "x-job-id": job_ids} | videos


class Draft(Protocol[T_co]):
    """A body that may refer to what the server has stored; see `receive_draft`.

    `read` comes first. One that `is_whole` then has its `body`; any other needs a
    `recall` before. `kept` is of use when the question has been asked.
    """

    is_background: bool

    @property
    def is_whole(self) -> bool: ...

    @property
    def kept(self) -> T_co: ...

    def read(self, data: bytearray) -> None:
        """Parses the body. Raises the EdgeError that refuses it."""
        ...

    async def recall(self, hold: Callable[[int], None]) -> int:
        """Fetches what the body refers to, and tells `hold` the size of each piece
        before. Returns the sum, in bytes. Raises the EdgeError that refuses it."""
        ...

    def body(self) -> ChatBody:
        """The body of /v1/chat/completions."""
        ...


class Questions:
    """Asks them over `client`. Other routes read their `bodies` there too: those of one
    process wait for one another."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.bodies = Bodies(client.metrics, client.in_flight)

    async def receive(
        self,
        http: Request,
        read: Callable[[bytearray], tuple[ChatBody, T]],
        *,
        wants: Wants = "answer",
        check: Callable[[T], Check | None] | None = None,
    ) -> Received[T]:
        """Reads and asks the question of a request; `wants` says what is computed.
        `read` translates its body to that of /v1/chat/completions, and says what must
        be kept of it for the answer; what `check` returns refuses what the model
        cannot do with that. When this returns nothing keeps the bytes of the pictures
        alive.

        Raises the EdgeError that refuses it.
        """
        meter = await self.charge_request(http)

        def build(data: bytearray) -> tuple[ParsedQuestion, T]:
            body, kept = read(data)
            name = _name(http, data)
            return self._parse(http, body, name, wants=wants), kept

        async with self.bodies.read(http, build) as (question, kept):
            with self._client.metrics.question() as watch:
                watch.of(caller_of(http), question.model)
                if refuse := check and check(kept):
                    served = await self._client.serving(
                        question.model, limits_of(http), CAPABILITY.get(wants, CHAT)
                    )
                    refuse(served)
                asked = await self._ask(http, question, meter, watch)
        return _received(asked, question, kept)

    async def receive_draft(self, http: Request, draft: Draft[T]) -> Received[T]:
        """As `receive`, where a body may refer to what the server has stored."""
        meter = await self.charge_request(http)

        def build(data: bytearray) -> tuple[ParsedQuestion | None, str, int]:
            draft.read(data)
            name = _name(http, data)
            if draft.is_whole:
                return self._parse(http, draft.body(), name), name, 0
            return None, name, len(data)

        with self.bodies.holding(http) as hold:
            async with self.bodies.read(http, build) as (found, name, n_bytes):
                with self._client.metrics.question() as watch:
                    watch.of(caller_of(http), "")
                    if found is None:
                        n_bytes += await unless_gone(http, draft.recall(hold))
                        found = await self.bodies.work(
                            n_bytes, lambda: self._parse(http, draft.body(), name)
                        )
                    watch.of(caller_of(http), found.model)
                    asked = await self._ask(
                        http, found, meter, watch, is_background=draft.is_background
                    )
        return _received(asked, found, draft.kept)

    def _parse(
        self, http: Request, body: ChatBody, name: str, *, wants: Wants = "answer"
    ) -> ParsedQuestion:
        body.refuse_unsupported()
        asked = body.longest_answer if wants == "answer" else 1
        body = without_task(body)  # whose length is a default
        default = body.longest_answer or self._client.settings.answer_tokens
        most = longest_answer(asked, default, limits_of(http))
        return ParsedQuestion(
            body,
            most,
            caller_of(http),
            name,
            self._client.picture_hosts,
            wants=wants,
        )

    async def _ask(
        self,
        http: Request,
        question: ParsedQuestion,
        meter: Meter,
        watch: Stopwatch,
        *,
        is_background: bool = False,
    ) -> Asked:
        submission = submission_of(
            http,
            question.body_hash,
            max_tokens=question.max_tokens,
            is_batch=question.is_batch,
            streams=question.streams,
            has_tools=question.has_tools,
            n_answers=question.n_answers,
            n_computed=question.n_computed,
            is_background=is_background,
        )
        work = self._answer(submission, question, meter, watch)
        return await unless_gone(http, work)

    async def _answer(
        self,
        submission: Submission,
        question: ParsedQuestion,
        meter: Meter,
        watch: Stopwatch,
    ) -> Asked:
        for document in question.documents:  # until there are too many pages
            count_pages = self._client.decoder.count_pages
            n_pages = await count_pages(document, submission.caller)
            question.choose(document, n_pages)
        question.open()
        if question.asks_each:
            return await ask_each(self._client, submission, question, meter, watch)
        return await self._client.ask(submission, question, meter, watch)

    async def charge_request(self, http: Request) -> Meter:
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


def _name(http: Request, data: bytearray) -> str:
    """The sha256 of a body, which takes a while, if there is an Idempotency-Key."""
    is_named = "idempotency-key" in http.headers
    return hashlib.sha256(data).hexdigest() if is_named else ""


def _received(asked: Asked, question: ParsedQuestion, kept: T) -> Received[T]:
    return Received(
        asked,
        question.streams,
        question.includes_usage,
        question.has_tools,
        question.n_answers,
        question.asks_each,
        kept,
    )

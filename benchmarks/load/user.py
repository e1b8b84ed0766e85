"""The user of all scenarios: asks, reads the stream, reports a sample to Locust.

Locust's own HttpUser has one time per request; this one makes a `Sample` of each and
passes it on in Locust's request event, so that Locust's page and our runner read the
same measurement. Importing this module patches the process, as Locust does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, ClassVar

import gevent
from locust import User, task
from locust.exception import StopUser

from benchmarks.load import options, questions
from benchmarks.load.chat import (
    CHAT,
    ChatClient,
    Message,
    read_api_key,
    request_body,
)
from benchmarks.load.exchange import Patience, Reply
from benchmarks.load.questions import Question
from benchmarks.load.quota import Quota
from benchmarks.record import Sample

# A refused user retries after the Retry-After of the server, as OpenAI's client does:
# without a pause, refused users would be a busy loop on the CPU that serves the rest.
# The pause is limited, or a short stage would end before they retry.
MAX_PAUSE_S = 5.0
# Without a Retry-After, and after a failure: OpenAI's client begins with the same.
PAUSE_S = 0.5
# A server may close a connection after some idle seconds (uvicorn: 5), perhaps at the
# moment of its next use.
IDLE_S = 1.0


options.add(options.common)


class NoAnswer(Exception):
    """Shown by Locust's page as the failure of a request."""


class ChatUser(User):
    """Asks again as soon as its answer is complete: a closed loop."""

    abstract = True

    # Set by our runner before each stage; under Locust alone there is no limit.
    quota: ClassVar[Quota] = Quota()
    began: ClassVar[float] = perf_counter()  # of the run
    client_numbers: ClassVar[Iterator[int]] = itertools.count()
    route: ClassVar[str] = CHAT
    # Of each request, beside the question: a scenario may set some.
    fields: ClassVar[Mapping[str, Any]] = {}

    def on_start(self) -> None:
        self.options = self.environment.parsed_options
        worker = getattr(self.environment.runner, "worker_index", 0)
        self.run_name = f"{self.options.seed}/{worker}/{self.quota.stage}"
        # Each user is a separate client, because a server may limit each client.
        name = f"bench-{self.run_name}-{next(self.client_numbers)}"
        key = read_api_key(self.options.api_key_file) or name
        self.client = ChatClient(self.host or "", key, self.route)

    def on_stop(self) -> None:
        self.client.close()

    @task
    def run_once(self) -> None:
        self.ask_next()

    def ask_next(self) -> None:
        """One question and its answer; a scenario may override it."""
        number = self.take_number()
        question = self.question(number)
        self.ask(question.kind, [question.message()], self.patience(number))

    def question(self, number: int) -> Question:
        return questions.picture(self.run_name, number)

    def patience(self, number: int) -> Patience:
        return Patience()

    def take_number(self) -> int:
        """The number of the next request. Stops this user when there is none left."""
        number = self.quota.take(perf_counter())
        if number is None:
            raise StopUser
        return number

    def ask(
        self,
        kind: str,
        messages: Sequence[Message],
        patience: Patience | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Sends a request with `fields`, reports its result, and pauses if it was not
        answered."""
        # Locust's page needs numbers: 0 stands for "no limit" there, and only there.
        body = request_body(
            messages,
            self.options.max_tokens or None,
            self.options.model,
            {**self.options.fields, **(fields or self.fields)},
        )
        timeout_s = self.options.timeout_s or None
        patience = replace(patience or Patience(), timeout_s=timeout_s)
        return self.report(kind, lambda: self.client.ask(body, patience))

    def report(self, kind: str, work: Callable[[], Reply]) -> Reply:
        """Does `work`, reports its result, and pauses if it was not answered."""
        began, wall = perf_counter(), time.time()
        if self.quota.is_late(began):  # the stage ended while the picture was made
            raise StopUser
        reply = work()
        self._report(kind, began, wall, reply)
        self._pause(reply)
        return reply

    def _report(self, kind: str, began: float, wall: float, reply: Reply) -> None:
        answer, runner = reply.answer, self.environment.runner
        sample = Sample(
            users=runner.target_user_count if runner else 0,
            began_s=began - self.began,
            e2e_s=reply.e2e_s,
            outcome=reply.outcome,
            kind=kind,
            code=reply.code,
            ttft_s=answer.ttft_s,
            tpot_s=answer.tpot_s,
            gap_s=answer.gap_s,
            tokens=answer.tokens,
            cached=reply.cached,
            drafted_tokens=answer.count("drafted_tokens"),
            accepted_tokens=answer.count("accepted_tokens"),
            saved_steps=answer.count("saved_steps"),
        )
        is_failure = reply.outcome in ("refused", "failed")
        self.environment.events.request.fire(
            request_type="POST",
            name=kind if reply.outcome != "aborted" else f"{kind}, aborted",
            response_time=1000 * reply.e2e_s,
            response_length=len(answer.text.encode()),
            exception=NoAnswer(f"{reply.outcome}: {reply.code}")
            if is_failure
            else None,
            context={**self.context(), "sample": sample},
            start_time=wall,
        )

    def _pause(self, reply: Reply) -> None:
        if reply.outcome in ("answered", "aborted") or reply.code == "timeout":
            return
        wanted_s = PAUSE_S if reply.retry_after_s is None else reply.retry_after_s
        pause_s = min(wanted_s, MAX_PAUSE_S, self.quota.left_s(perf_counter()))
        if pause_s > IDLE_S:
            self.client.close()
        gevent.sleep(pause_s)

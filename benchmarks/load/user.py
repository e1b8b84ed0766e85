"""The user of all scenarios: asks, hears the stream, tells Locust what it measured.

Locust's own HttpUser knows one time per request; this one makes a `Sample` of each and
hands it over with Locust's request event, so that Locust's page and our runner read
the same measurement. Importing this module patches the process, as Locust does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import ClassVar

import gevent
from locust import User, task
from locust.exception import StopUser

from benchmarks.load import options, questions
from benchmarks.load.chat import ChatClient, Message, read_api_key, request_body
from benchmarks.load.exchange import Patience, Reply
from benchmarks.load.questions import Question
from benchmarks.load.quota import Quota
from benchmarks.record import Sample

# A refused client comes back when the server said, as OpenAI's client does: without a
# pause, refused users would be a busy loop on the CPU that answers the others. But not
# later than this, or a short stage would be over before they try again.
MAX_PAUSE_S = 5.0
# Where no time is said, and after a failure: OpenAI's client begins with the same.
PAUSE_S = 0.5
# A server may close a connection that was idle for some seconds (uvicorn: 5), and
# perhaps in the moment in which it is used again.
IDLE_S = 1.0


options.add(options.common)


class NoAnswer(Exception):
    """What Locust's page shows as the failure of a request."""


class ChatUser(User):
    """Asks again as soon as it has its answer: a closed loop."""

    abstract = True

    # Set by our runner before each stage; under Locust alone nothing is counted.
    quota: ClassVar[Quota] = Quota()
    began: ClassVar[float] = perf_counter()  # of the run
    numbers: ClassVar[Iterator[int]] = itertools.count()

    def on_start(self) -> None:
        self.options = self.environment.parsed_options
        worker = getattr(self.environment.runner, "worker_index", 0)
        self.run_name = f"{self.options.seed}/{worker}/{self.quota.stage}"
        # Each user is a client of its own, also where one address may not take all.
        name = f"bench-{self.run_name}-{next(self.numbers)}"
        key = read_api_key(self.options.api_key_file) or name
        self.client = ChatClient(self.host or "", key)

    def on_stop(self) -> None:
        self.client.close()

    @task
    def next_turn(self) -> None:
        self.turn()

    def turn(self) -> None:
        """One question and its answer; scenarios may say otherwise."""
        number = self.take()
        question = self.question(number)
        self.ask(question.kind, [question.message()], self.patience(number))

    def question(self, number: int) -> Question:
        return questions.picture(self.run_name, number)

    def patience(self, number: int) -> Patience:
        return Patience()

    def take(self) -> int:
        """The number of the next request. Ends this user when there is no next."""
        number = self.quota.take(perf_counter())
        if number is None:
            raise StopUser
        return number

    def ask(
        self, kind: str, messages: Sequence[Message], patience: Patience | None = None
    ) -> Reply:
        """Asks, reports what came of it, and pauses where it was no answer."""
        options = self.options
        request = request_body(messages, options.max_tokens, options.model)
        patience = replace(patience or Patience(), timeout_s=options.timeout_s or None)
        began, wall = perf_counter(), time.time()
        if self.quota.is_late(began):  # while the picture was made
            raise StopUser
        reply = self.client.ask(request, patience)
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
        said = PAUSE_S if reply.retry_after_s is None else reply.retry_after_s
        pause_s = min(said, MAX_PAUSE_S, self.quota.left_s(perf_counter()))
        if pause_s > IDLE_S:
            self.client.close()
        gevent.sleep(pause_s)

"""An hour of everything at once, to find what grows: memory, files, keys, latency.

New and known pictures, cached answers, JSON, clients that hang up, jobs that are
cancelled or followed again, bad bodies, pages, and short times of rest. Before that,
small pictures fill what the server remembers, which would look like a leak.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, ClassVar

import gevent

from benchmarks.load import options, plain, questions
from benchmarks.load.chat import request_body
from benchmarks.load.exchange import Patience, Reply
from benchmarks.load.questions import Question
from benchmarks.load.user import ChatUser
from benchmarks.scenarios.extraction import JSON_FIELDS

STAGES = (12,)
DURATION_S = 3600
# Of the server that is started for it: the cache of embeddings is full within seconds.
SETTINGS = {"embeddings_mb": 2}


# Every user rests at the same time, so that the server falls idle.
PERIOD_S, REST_S = 90.0, 12.0
N_KNOWN = 5  # pictures that are asked about again and again

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"
BAD_BODIES = (
    b"{",
    b"[]",
    b'{"messages": []}',
    b'{"messages": [{"role": "user", "content": 1}]}',
    b'{"messages": "' + b"x" * 300_000 + b'"}',
    b"[" * 5000,
    b"\xff\xfe",
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filling",
        type=int,
        default=2500,  # more than ui/decoding.py and ui/latency.py remember
        help="questions about small pictures before all others",
    )


options.add(_add_options)


class Soak(ChatUser):
    # What users do, and how often in a hundred times
    shares: ClassVar[dict[str, int]] = {
        "_new_picture": 28,
        "_known_picture": 14,
        "_cached": 14,
        "_text": 8,
        "_json": 8,
        "_hang_up": 10,
        "_cancel": 5,
        "_follow_again": 5,
        "_bad_body": 4,
        "_visit": 4,
    }

    def ask_next(self) -> None:
        number = self.take_number()
        if number < self.options.filling:
            question = questions.filling(self.run_name, number)
            self._ask(question, fields={"max_tokens": 1})
            return
        rest_s = REST_S - time.monotonic() % PERIOD_S
        if rest_s > 0:
            gevent.sleep(rest_s)
        draws = random.Random(f"{self.run_name}/{number}")
        (name,) = draws.choices([*self.shares], [*self.shares.values()])
        act: Callable[[int, random.Random], None] = getattr(self, name)
        act(number, draws)

    def _new_picture(self, number: int, _: random.Random) -> None:
        self._ask(questions.picture(self.run_name, number))

    def _known_picture(self, number: int, draws: random.Random) -> None:
        run = f"{self.run_name}/{draws.randrange(N_KNOWN)}"
        self._ask(questions.about_one_picture(run, number))

    def _cached(self, _: int, draws: random.Random) -> None:
        run = f"{self.run_name}/{draws.randrange(N_KNOWN)}"
        asked = questions.about_one_picture(run, draws.randrange(4))
        self._ask(Question("repeated", asked.text, asked.size, asked.name))

    def _text(self, number: int, _: random.Random) -> None:
        self._ask(questions.text(self.run_name, number))

    def _json(self, number: int, _: random.Random) -> None:
        self._ask(questions.extraction(self.run_name, number), fields=JSON_FIELDS)

    def _hang_up(self, number: int, _: random.Random) -> None:
        patience = questions.patience(self.run_name, number, 1.0)
        self._ask(questions.picture(self.run_name, number), patience)

    def _cancel(self, number: int, _: random.Random) -> None:
        def cancel(job_id: str) -> int:
            return self._fetch("DELETE", f"/v1/jobs/{job_id}").status

        self._with_job("cancelled", number, cancel)

    def _follow_again(self, number: int, _: random.Random) -> None:
        def follow(job_id: str) -> int:
            followed = self._fetch("GET", f"/v1/jobs/{job_id}/events")
            is_whole = followed.body.rstrip().endswith(b"[DONE]")
            return followed.status if is_whole else 0

        self._with_job("followed again", number, follow)

    def _with_job(self, kind: str, number: int, finish: Callable[[str], int]) -> None:
        """Asks, leaves when the answer begins, and comes back to the job."""
        message = questions.picture(self.run_name, number).message()
        headers = JSON | {"Idempotency-Key": f"{self.run_name}/{number}"}

        def work() -> int:
            body = request_body([message])
            begun = plain.fetch(self.url, "POST", CHAT, body, headers, leave_early=True)
            return finish(begun.job_id) if begun.status == 200 else begun.status

        self._run(kind, work, 200)

    def _bad_body(self, _: int, draws: random.Random) -> None:
        body = draws.choice(BAD_BODIES)
        work = lambda: self._fetch("POST", CHAT, body, JSON).status  # noqa: E731
        self._run("bad body", work, 400)

    def _visit(self, _: int, draws: random.Random) -> None:
        def work() -> int:
            page = self._fetch("GET", "/")
            assets = sorted(set(re.findall(rb"\.?/assets/[\w.-]+", page.body)))
            for asset in draws.sample(assets, min(3, len(assets))):
                self._fetch("GET", asset.decode().lstrip("."))
            return page.status

        self._run("page", work, 200)

    @property
    def url(self) -> str:
        return self.host or ""

    def _ask(
        self,
        question: Question,
        patience: Patience | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.ask(question.kind, [question.message()], patience, fields)

    def _fetch(self, *request: Any) -> plain.Response:
        return plain.fetch(self.url, *request)

    def _run(self, kind: str, work: Callable[[], int], *expected: int) -> None:
        """Does and reports `work`, which returns the status of its last request."""

        def measured() -> Reply:
            errand = plain.Errand()
            try:
                return errand.reply(work(), *expected)
            except (OSError, HTTPException) as error:
                return errand.broken(error)

        self.report(kind, measured)

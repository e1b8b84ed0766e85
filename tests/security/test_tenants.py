"""No tenant sees, times or ends anything of another one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.jobs import keys
from edge.keys import create_key
from edge.limits import NO_LIMITS
from tests.ui.api_harness import ApiHarness, api_harness, code_of

pytestmark = pytest.mark.redis

# Two who share nothing: by key and address where keys are needed, and by either alone
# where they are not.
PAIRS = {
    "two keys": [("a", "10.0.0.1"), ("b", "10.0.0.1")],
    "two addresses": [("", "10.0.0.1"), ("", "10.0.0.2")],
    "two names": [("one", "10.0.0.1"), ("two", "10.0.0.1")],
    "one name at two addresses": [("unused", "10.0.0.1"), ("unused", "10.0.0.2")],
}


class Two:
    """A victim and a stranger at one server, whose answers come at once."""

    def __init__(self, web: ApiHarness, who: list[dict[str, str]]) -> None:
        self.web = web
        self.victim, self.stranger = who

    async def cached(self, who: dict[str, str], text: str, **more: Any) -> int:
        """How many tokens of the prompt were cached, by the usage that `who` gets."""
        reply = await self.web.post(text, **who, **more)
        assert reply.status_code == 200
        details = reply.json()["usage"]["prompt_tokens_details"]
        return int(details["cached_tokens"])


@pytest.fixture(params=PAIRS)
async def two(
    broker_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Two]:
    who, keys_file = PAIRS[request.param], ""
    if request.param == "two keys":
        path = tmp_path / "keys.json"
        who = [(create_key(path, name, NO_LIMITS), at) for name, at in who]
        keys_file = str(path)
    async with (
        api_harness(
            broker_url, n_kept=8, keys_file=keys_file, data_dir=tmp_path
        ) as web,
        web.working(),
    ):
        yield Two(web, [{"key": key, "address": at} for key, at in who])


async def test_caches_reveal_nothing_to_other_tenants(two: Two) -> None:
    """The attack: of the prefixes with one digit more, the right one has one cached
    token more. Here it never has any."""
    pin = f"{random.randrange(10**6):06}"
    system = f"You are the assistant of a bank. The customer's PIN is {pin}."
    assert await two.cached(two.victim, system) == 0
    assert await two.cached(two.victim, system + " And?") > 0  # its own, it may know
    known = system[: -len(pin) - 1]
    assert await two.cached(two.stranger, f"{known}x") == 0
    told = {await two.cached(two.stranger, known + digit) for digit in "0123456789"}
    assert len(told) == 1  # of its own first guess, whatever the digit


async def test_a_first_question_never_finds_anything(two: Two) -> None:
    for n in range(4):
        await two.cached(two.victim, "My salary is 4000. " * n + "Hello")
    for n in range(4):
        text = "My salary is 4000. " * n + "Hello"
        reply = await two.web.post(text, **two.stranger, temperature=0.5, seed=n)
        if n == 0:
            details = reply.json()["usage"]["prompt_tokens_details"]
            assert details["cached_tokens"] == 0
        assert reply.headers["x-cache"] == "miss"


async def test_no_answer_of_another_is_known(two: Two) -> None:
    text = "Patient Smith, born 1961: what did the doctor say?"
    first = await two.web.post(text, **two.victim)
    again = await two.web.post(text, **two.victim)
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    reply = await two.web.post(text, **two.stranger)
    assert reply.headers["x-cache"] == "miss"
    assert reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


async def test_a_job_of_another_is_not_there(two: Two) -> None:
    job_id = (await two.web.post(**two.victim)).headers["x-job-id"]
    http = two.web.at(two.stranger["address"])
    key = two.stranger["key"]
    headers = {"authorization": f"Bearer {key}"} if key else {}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        reply = await http.request(method, f"/v1/jobs/{job_id}{path}", headers=headers)
        unknown = await http.request(
            method, f"/v1/jobs/{'0' * 32}{path}", headers=headers
        )
        assert code_of(reply) == code_of(unknown) == (404, "not_found")
        assert reply.json() == unknown.json()


async def test_an_idempotency_key_of_another_is_not_known(two: Two) -> None:
    same = {"idempotency-key": "invoice-1"}
    first = await two.web.post("mine", **two.victim, headers=same)
    other = await two.web.post("something else", **two.stranger, headers=same)
    equal = await two.web.post("mine", **two.victim, headers=same)
    assert other.status_code == 200
    assert other.headers["x-job-id"] != first.headers["x-job-id"]
    assert equal.headers["x-job-id"] == first.headers["x-job-id"]


async def test_an_answer_is_not_shared_while_it_is_computed(
    broker_url: str, tmp_path: Path
) -> None:
    """Single flight: waiting jobs with the same question end with its answer, but
    only in the same scope."""
    async with api_harness(broker_url, data_dir=tmp_path) as web:
        asking = []
        for n, address in enumerate(("10.0.0.1", "10.0.0.1", "10.0.0.2")):
            asking.append(web.asking("same", address=address))
            await web.until(lambda n=n: len(web.waiting) == n + 1)
        await asyncio.to_thread(web.relay.answer)
        await web.until(lambda: len(web.waiting) == 1)
        await asyncio.to_thread(web.relay.answer)
        replies = await asyncio.gather(*asking)
    assert {reply.status_code for reply in replies} == {200}


async def test_tenants_share_if_the_operator_says_so(
    broker_url: str, tmp_path: Path
) -> None:
    async with (
        api_harness(broker_url, data_dir=tmp_path, share="all") as web,
        web.working(),
    ):
        await web.post("the same", address="10.0.0.1")
        reply = await web.post("the same", address="10.0.0.2")
    assert reply.headers["x-cache"] == "hit"


# --- shares of the queue --------------------------------------------------------------


@pytest.mark.parametrize("made_up", ["keys", "sessions", "neighbours in a /64"])
async def test_invented_names_give_no_more_jobs(
    broker_url: str, tmp_path: Path, made_up: str
) -> None:
    """One address may have half of the places, however many names it thinks of."""
    async with api_harness(
        broker_url, backlog=9, data_dir=tmp_path
    ) as web:  # ten places
        asking = []
        for n in range(12):
            who: dict[str, Any] = {"address": "2001:db8::1"}
            if made_up == "keys":
                who["key"] = f"random {n}"
            elif made_up == "sessions":
                http = web.at("2001:db8::1")
                http.cookies.clear()
                await http.get("/")
                cookie = "; ".join(f"{k}={v}" for k, v in http.cookies.items())
                who["headers"] = {"cookie": cookie}
            else:
                who["address"] = f"2001:db8::{n + 1:x}:1"
            asking.append(web.asking(f"question {n}", **who))
        await web.until(lambda: sum(task.done() for task in asking) == 7)
        codes = [code_of(task.result()) for task in asking if task.done()]
        assert codes == [(429, "client_limit")] * 7
        await web.until(lambda: len(web.live) == 5)  # the others
        victim = web.asking("victim", address="2001:db8:0:1::1")
        await web.until(lambda: len(web.live) == 6)
        for task in (*asking, victim):
            task.cancel()


async def test_few_questions_of_one_address_run_while_nobody_reads_them(
    broker_url: str, tmp_path: Path
) -> None:
    async with api_harness(broker_url, data_dir=tmp_path) as web:

        async def leave(n: int) -> list[tuple[int, str]]:
            """Asks question `n` and hangs up. The refusal, if there was one."""
            kept = {"idempotency-key": f"{n}"}
            task = web.asking(f"question {n}", key=f"{n}", headers=kept)
            await web.until(lambda: task.done() or len(web.waiting) > n)
            task.cancel()
            for job_id in web.live:  # a while later
                web.sync.hset(keys.JOB(job_id), "watched", 0)
            return [code_of(task.result())] if task.done() else []

        codes = [code for n in range(6) for code in await leave(n)]
        assert codes == [(429, "client_limit")] * 2
        assert len(web.live) == 4


async def test_questions_that_are_read_count_like_all_others(
    broker_url: str, tmp_path: Path
) -> None:
    """A page names each of its questions, so that it finds them again."""
    async with api_harness(broker_url, data_dir=tmp_path) as web:
        named = [{"idempotency-key": f"{n}"} for n in range(6)]
        tasks = [web.asking("?", headers=headers) for headers in named]
        await web.until(lambda: len(web.live) == 6)
        for task in tasks:
            task.cancel()

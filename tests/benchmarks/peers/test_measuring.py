"""A part of the comparison on a server that follows a script."""

from __future__ import annotations

import os

import pytest

from benchmarks.load.target import Target
from benchmarks.peers.measuring import measure_part, warm_up
from edge.errors import SetupError
from tests.benchmarks.load.chat_server import Request, Wire, answer_with, chat_server


def test_a_part_has_its_questions_and_the_memory_of_the_server() -> None:
    with chat_server(answer_with("a", "b", tokens=64)) as server:
        part = measure_part("known", Target(server.url, os.getpid()))
    assert [sample.outcome for sample in part.samples] == ["answered"] * 4
    assert len({request.picture for request in server.requests}) == 1
    assert {request.body["temperature"] for request in server.requests} == {0}
    assert {request.body["max_tokens"] for request in server.requests} == {64}
    assert part.peak_bytes > 10_000_000
    assert 0 < part.seconds < 60


def test_a_server_that_refuses_everything_is_not_measured() -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.refuse(400, {"error": {"code": "no_pictures"}})

    with (
        chat_server(script) as server,
        pytest.raises(SetupError, match=r"does not answer .* \(no_pictures\)"),
    ):
        warm_up(Target(server.url, None))

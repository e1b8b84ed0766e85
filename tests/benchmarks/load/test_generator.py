"""The load generator: lines on stdout, requests at a server."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.benchmarks.load.chat_server import Request, Wire, answer_with, chat_server
from tests.benchmarks.load.load_process import PATIENCE_S, Output, load, start

NEAR_S = 0.3  # of the best of several tries, because test machines are busy


def test_each_stage_sends_its_requests_with_all_users_at_once(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    all_four = threading.Barrier(4)

    def script(wire: Wire, request: Request) -> None:
        if 6 <= server.requests.index(request) < 10:  # the first of the second stage
            all_four.wait(60)  # no answer before all four requests
        answer_with("a", "b", tokens=5)(wire, request)

    with chat_server(script) as server:
        before = time.time()
        words = ("--stages", "1,4", "--requests", 6, "--max-tokens", 7, "--model", "m")
        output = load(server.url, *words, "--api-key-file", key)

    stage = ["stage", *["sample"] * 6, "ended"]
    assert output.kinds == ["began", *stage, *stage]
    assert before < output.lines[0]["began"] < time.time()
    assert {sample.outcome for sample in output.samples} == {"answered"}
    assert {sample.tokens for sample in output.samples} == {5}
    assert [sample.users for sample in output.samples] == [1] * 6 + [4] * 6
    assert [stage.users for stage in output.ended] == [1, 4]
    for stage, begun in zip(output.ended, output.lines[1::8], strict=True):
        own = [sample for sample in output.samples if sample.users == stage.users]
        assert begun["stage"] == {"users": stage.users, "began_s": stage.began_s}
        assert stage.began_s <= min(sample.began_s for sample in own)
        ends = [sample.began_s + sample.e2e_s for sample in own]
        assert stage.ended_s == max(ends)

    assert len(server.requests) == 12
    assert len({request.picture for request in server.requests}) == 12
    assert {request.text for request in server.requests} == {"请描述这张图片的内容。"}
    assert {request.body["max_tokens"] for request in server.requests} == {7}
    assert {request.body["model"] for request in server.requests} == {"m"}
    assert {request.headers["Authorization"] for request in server.requests} == {
        "Bearer secret"
    }
    assert (
        len({request.client for request in server.requests}) == 1 + 4
    )  # one connection per user


def test_a_seed_determines_the_pictures() -> None:
    def pictures(seed: int) -> set[str]:
        with chat_server(answer_with("a")) as server:
            load(server.url, "--stages", 2, "--requests", 5, "--seed", seed)
        return {request.picture for request in server.requests}

    first = pictures(1)
    assert len(first) == 5
    assert pictures(1) == first
    assert not pictures(2) & first


def test_a_stage_ends_after_its_duration_with_its_last_request() -> None:
    with chat_server(answer_with("a", pause_s=0.7)) as server:
        output = load(server.url, "--stages", 2, "--duration-s", 3)
    (stage,) = output.ended
    assert len(output.samples) == len(server.requests) > 0
    assert all(sample.began_s < stage.began_s + 3 for sample in output.samples)
    assert stage.ended_s > stage.began_s + 2.5
    assert {sample.outcome for sample in output.samples} == {"answered"}


def test_greenlets_measure_exact_times_and_time_out() -> None:
    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        if len(server.requests) <= 4:
            for pause_s in (0.3, 0.1, 0.9, 0.1):
                time.sleep(pause_s)
                wire.piece("a")
            wire.finish(tokens=9)
            return
        while True:
            wire.piece("a")
            time.sleep(0.1)

    with chat_server(script) as server:
        output = load(server.url, "--stages", 1, "--requests", 5, "--timeout-s", 8)
    *answered, dripped = output.samples
    assert {sample.outcome for sample in answered} == {"answered"}
    off_s = []  # the largest error in the times of a sample
    for sample, wire, request in zip(
        answered, server.wires, server.requests, strict=False
    ):
        assert sample.ttft_s is not None
        assert sample.gap_s is not None
        assert sample.tpot_s is not None
        first, second, third, last = wire.sent_at
        assert sample.ttft_s >= first - request.at
        off_s.append(
            max(
                abs(sample.gap_s - (third - second)),
                abs(sample.tpot_s - (last - first) / 8),
                sample.ttft_s - (first - request.at),
            )
        )
    assert min(off_s) < NEAR_S
    assert (dripped.outcome, dripped.code) == ("failed", "timeout")
    assert 7.9 < dripped.e2e_s < 120


def test_refused_users_retry_after_the_given_time() -> None:
    full = {"error": {"code": "queue_full"}}

    def script(wire: Wire, request: Request) -> None:
        match len(server.requests):
            case 1:
                wire.refuse(429, full, Retry_After="2")
            case 2:
                wire.refuse(503, "<html>", Retry_After="3600")
            case 3:
                wire.refuse(500, full)
            case _:
                answer_with("a")(wire, request)

    with chat_server(script) as server:
        output = load(server.url, "--stages", 1, "--requests", 4)
    at = [request.at for request in server.requests]
    assert at[1] - at[0] >= 1.9
    assert 4.9 <= at[2] - at[1] < 60
    assert at[3] - at[2] >= 0.4
    ends = [(sample.outcome, sample.code) for sample in output.samples]
    assert ends == [
        ("refused", "queue_full"),
        ("refused", "503"),
        ("failed", "queue_full"),
        ("answered", ""),
    ]


@pytest.mark.parametrize(
    ("signum", "n_answers"), [(signal.SIGINT, 3), (signal.SIGTERM, 0)]
)
def test_a_signal_keeps_the_samples(signum: int, n_answers: int) -> None:
    let_go = threading.Event()

    def script(wire: Wire, request: Request) -> None:
        if len(server.requests) > n_answers:
            let_go.wait(PATIENCE_S)
        answer_with("a")(wire, request)

    with chat_server(script) as server:
        words = ("--url", server.url, "--stages", "2,4", "--requests", 50)
        with start("benchmarks.load.generator", *words) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(2 + n_answers)]
            process.send_signal(signum)
            out, errors = process.communicate(timeout=PATIENCE_S)
        let_go.set()
    assert (process.returncode, errors) == (0, "")
    output = Output([json.loads(line) for line in [*lines, *out.splitlines()]])
    ending = ["ended"] if n_answers else []
    assert output.kinds == ["began", "stage", *["sample"] * n_answers, *ending]
    for stage in output.ended:
        last = output.samples[-1]
        assert stage.ended_s == last.began_s + last.e2e_s


def test_an_unreachable_server_is_one_line_on_stderr() -> None:
    with chat_server(answer_with()) as gone:
        pass
    with start("benchmarks.load.generator", "--url", gone.url) as process:
        out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    assert errors.startswith(f"{gone.url} cannot be reached: Connection refused.")
    assert len(errors.splitlines()) == 1


def test_every_request_has_the_given_fields() -> None:
    fields = {"temperature": 0, "ignore_eos": True}
    with chat_server(answer_with("a")) as server:
        load(server.url, "--requests", 2, "--stages", 1, "--fields", json.dumps(fields))
    for request in server.requests:
        assert request.body.items() >= fields.items()

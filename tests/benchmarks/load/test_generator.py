"""The load generator as its reader sees it: lines on stdout, requests at a server."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.benchmarks.load.chat_server import Asked, Wire, chat_server, says
from tests.benchmarks.load.load_process import PATIENCE_S, Said, load, start

NEAR_S = 0.3  # of the best of some, because machines that run tests are busy


def test_each_stage_asks_exactly_so_often_with_all_users_at_once(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    all_four = threading.Barrier(4)

    def script(wire: Wire, asked: Asked) -> None:
        if 6 <= server.asked.index(asked) < 10:  # the first of the second stage
            all_four.wait(60)  # nobody is answered before all have asked
        says("a", "b", tokens=5)(wire, asked)

    with chat_server(script) as server:
        before = time.time()
        words = ("--stages", "1,4", "--requests", 6, "--max-tokens", 7, "--model", "m")
        said = load(server.url, *words, "--api-key-file", key)

    stage = ["stage", *["sample"] * 6, "ended"]
    assert said.kinds == ["began", *stage, *stage]
    assert before < said.lines[0]["began"] < time.time()
    assert {sample.outcome for sample in said.samples} == {"answered"}
    assert {sample.tokens for sample in said.samples} == {5}
    assert [sample.users for sample in said.samples] == [1] * 6 + [4] * 6
    assert [stage.users for stage in said.ended] == [1, 4]
    for stage, begun in zip(said.ended, said.lines[1::8], strict=True):
        own = [sample for sample in said.samples if sample.users == stage.users]
        assert begun["stage"] == {"users": stage.users, "began_s": stage.began_s}
        assert stage.began_s <= min(sample.began_s for sample in own)
        ends = [sample.began_s + sample.e2e_s for sample in own]
        assert stage.ended_s == max(ends)

    assert len(server.asked) == 12
    assert len({asked.picture for asked in server.asked}) == 12
    assert {asked.text for asked in server.asked} == {"请描述这张图片的内容。"}
    assert {asked.body["max_tokens"] for asked in server.asked} == {7}
    assert {asked.body["model"] for asked in server.asked} == {"m"}
    assert {asked.headers["Authorization"] for asked in server.asked} == {
        "Bearer secret"
    }
    assert len({asked.client for asked in server.asked}) == 1 + 4  # kept by each user


def test_a_seed_repeats_its_pictures_and_no_others() -> None:
    def pictures(seed: int) -> set[str]:
        with chat_server(says("a")) as server:
            load(server.url, "--stages", 2, "--requests", 5, "--seed", seed)
        return {asked.picture for asked in server.asked}

    first = pictures(1)
    assert len(first) == 5
    assert pictures(1) == first
    assert not pictures(2) & first


def test_a_stage_ends_with_its_time_and_its_last_request() -> None:
    with chat_server(says("a", pause_s=0.7)) as server:
        said = load(server.url, "--stages", 2, "--duration-s", 3)
    (stage,) = said.ended
    assert len(said.samples) == len(server.asked) > 0
    assert all(sample.began_s < stage.began_s + 3 for sample in said.samples)
    assert stage.ended_s > stage.began_s + 2.5
    assert {sample.outcome for sample in said.samples} == {"answered"}


def test_times_are_right_among_greenlets_and_a_time_out_ends_a_drip() -> None:
    def script(wire: Wire, asked: Asked) -> None:
        wire.begin()
        if len(server.asked) <= 4:
            for pause_s in (0.3, 0.1, 0.9, 0.1):
                time.sleep(pause_s)
                wire.piece("a")
            wire.finish(tokens=9)
            return
        while True:
            wire.piece("a")
            time.sleep(0.1)

    with chat_server(script) as server:
        said = load(server.url, "--stages", 1, "--requests", 5, "--timeout-s", 8)
    *answered, dripped = said.samples
    assert {sample.outcome for sample in answered} == {"answered"}
    off_s = []  # by how much the worst of a sample's times is wrong
    for sample, wire, asked in zip(answered, server.wires, server.asked, strict=False):
        assert sample.ttft_s is not None
        assert sample.gap_s is not None
        assert sample.tpot_s is not None
        first, second, third, last = wire.sent_at
        assert sample.ttft_s >= first - asked.at
        off_s.append(
            max(
                abs(sample.gap_s - (third - second)),
                abs(sample.tpot_s - (last - first) / 8),
                sample.ttft_s - (first - asked.at),
            )
        )
    assert min(off_s) < NEAR_S
    assert (dripped.outcome, dripped.code) == ("failed", "timeout")
    assert 7.9 < dripped.e2e_s < 30


def test_the_refused_come_back_when_the_server_said() -> None:
    full = {"error": {"code": "queue_full"}}

    def script(wire: Wire, asked: Asked) -> None:
        match len(server.asked):
            case 1:
                wire.refuse(429, full, Retry_After="2")
            case 2:
                wire.refuse(503, "<html>", Retry_After="3600")
            case 3:
                wire.refuse(500, full)
            case _:
                says("a")(wire, asked)

    with chat_server(script) as server:
        said = load(server.url, "--stages", 1, "--requests", 4)
    at = [asked.at for asked in server.asked]
    assert at[1] - at[0] >= 1.9
    assert 4.9 <= at[2] - at[1] < 60
    assert at[3] - at[2] >= 0.4
    ends = [(sample.outcome, sample.code) for sample in said.samples]
    assert ends == [
        ("refused", "queue_full"),
        ("refused", "503"),
        ("failed", "queue_full"),
        ("answered", ""),
    ]


@pytest.mark.parametrize(
    ("signum", "n_answers"), [(signal.SIGINT, 3), (signal.SIGTERM, 0)]
)
def test_a_signal_keeps_what_was_measured(signum: int, n_answers: int) -> None:
    let_go = threading.Event()

    def script(wire: Wire, asked: Asked) -> None:
        if len(server.asked) > n_answers:
            let_go.wait(PATIENCE_S)
        says("a")(wire, asked)

    with chat_server(script) as server:
        words = ("--url", server.url, "--stages", "2,4", "--requests", 50)
        with start("benchmarks.load.generator", *words) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(2 + n_answers)]
            process.send_signal(signum)
            out, errors = process.communicate(timeout=PATIENCE_S)
        let_go.set()
    assert (process.returncode, errors) == (0, "")
    said = Said([json.loads(line) for line in [*lines, *out.splitlines()]])
    ending = ["ended"] if n_answers else []
    assert said.kinds == ["began", "stage", *["sample"] * n_answers, *ending]
    for stage in said.ended:
        last = said.samples[-1]
        assert stage.ended_s == last.began_s + last.e2e_s


def test_an_unreachable_server_is_one_sentence() -> None:
    with chat_server(says()) as gone:
        pass
    with start("benchmarks.load.generator", "--url", gone.url) as process:
        out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    assert errors.startswith(f"{gone.url} cannot be reached: Connection refused.")
    assert len(errors.splitlines()) == 1

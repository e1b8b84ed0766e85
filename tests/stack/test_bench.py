"""`edge bench` and `edge monitor` as commands, against the running stack."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.history import History
from benchmarks.load.chat import ChatClient
from benchmarks.load.rerank import ROUTE
from benchmarks.monitor import rerank_question
from benchmarks.record import Run
from benchmarks.report.summary import summarise
from tests.conftest import wait_for
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.model, pytest.mark.redis]

UNANSWERED = re.compile(r"[1-9]\d* (refused|failed|unanswered)")


def typed(edge: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"EDGE_DATA_DIR": str(folder), "COLUMNS": "120"}
    return subprocess.run(
        [edge, *words], cwd=folder, env=environ, capture_output=True, text=True
    )


def answered(
    edge: str, parent: Path, *commands: Sequence[str]
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """How commands end, one after the other, in a new folder; in another one, up to
    twice, where a question had no answer: a busy machine refuses one now and then."""
    for n in range(3):
        folder = parent / f"try {n}"
        folder.mkdir()
        ended = [typed(edge, folder, *words) for words in commands]
        if not any(UNANSWERED.search(one.stdout) for one in ended):
            break
    return folder, ended


def test_a_curve_of_a_running_server(edge: str, stack: Stack, tmp_path: Path) -> None:
    options = ("--stages", "1,2", "--requests", "4", "--out", "out")
    command = ("bench", "--url", f"http://127.0.0.1:{stack.port}", *options)
    folder, [ended] = answered(edge, tmp_path, command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 users: 4 answered, 0 refused, 0 failed" in ended.stdout
    out = folder / "out"
    run = Run.load(out / "run.json")
    assert Run.load(folder / "bench/latest.json") == run  # for the server's page
    one, two = summarise(run)
    assert (one.users, two.users) == (1, 2)
    assert one.answered == two.answered == 4
    assert one.requests_per_s and one.ttft_mean_s and one.e2e_mean_s
    assert one.ttft_mean_s <= one.e2e_mean_s
    assert {sample.cached for sample in run.samples} == {False}
    resident = run.watched[-1].resident_bytes
    assert resident["worker"] > 50e6 and resident["ui"] > 50e6
    assert any(one.cpu_percent > 0 for one in run.watched)
    assert any(one.queued is not None for one in run.watched)
    assert run.fingerprint["server"]["models"] == ["tiny"]
    assert "<html" in (out / "report.html").read_text()
    with (out / "table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


def test_ctrl_c_keeps_what_was_measured(
    edge: str, stack: Stack, tmp_path: Path
) -> None:
    url, out = f"http://127.0.0.1:{stack.port}", tmp_path / "out"
    command = [edge, "bench", "--url", url, "--duration", "1h", "--out", str(out)]
    said = tmp_path / "said"
    with said.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    before = n_answered(stack)
    wait_for(lambda: n_answered(stack) >= before + 2, 120)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, said.read_text()
    (stage,) = summarise(Run.load(out / "run.json"))
    assert stage.answered >= 1 and stage.failed == 0
    assert (out / "report.html").exists()


def test_two_runs_are_compared(edge: str, stack: Stack, tmp_path: Path) -> None:
    command = ("bench", "--url", f"http://127.0.0.1:{stack.port}")
    options = ("--requests", "2", "--stages", "1")
    names = ("one", "other")
    runs = [(*command, *options, "--name", name, "--out", name) for name in names]
    compare = ("bench", "compare", "one/run.json", "other/run.json", "--out", "both")
    folder, [*_, ended] = answered(edge, tmp_path, *runs, compare)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = (folder / "both/report.html").read_text()
    assert "one" in report and "other" in report


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--url", "http://127.0.0.1:1"), "cannot be reached"),
        (("--url", "nowhere"), "cannot be reached"),
        (("--scenario", "picnic"), "not a scenario"),
        (("--stages", "1,x"), "not a list of stages"),
        (("--duration", "5 minutes"), "not a duration"),
        (("--duration", "5m", "--requests", "3"), "not both"),
        (("--set", "repeat-rate"), "not NAME=VALUE"),
        (("compare", "nothing.json"), "not a benchmark result"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    edge: str, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    ended = typed(edge, tmp_path, "bench", *words)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_monitor_asks_once_and_remembers(
    edge: str, stack: Stack, tmp_path: Path
) -> None:
    look = ("monitor", "--once", "--url", f"http://127.0.0.1:{stack.port}")
    drawn = ("--alert-p99", "0", "--csv", "looks.csv", "--plot", "looks.png")
    folder, [*looks, alert] = answered(edge, tmp_path, look, look, (*look, *drawn))
    for n, ended in enumerate(looks, 1):
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert f"of {n}, 0 unanswered" in ended.stdout
    assert alert.returncode == 2
    assert "ALERT P99" in alert.stdout
    stored = json.loads((folder / "monitor.json").read_text())
    assert [look["outcome"] for look in stored["looks"]] == ["answered"] * 3
    with (folder / "looks.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (folder / "looks.png").read_bytes().startswith(b"\x89PNG")


def test_the_monitor_asks_the_reranker(edge: str, stack: Stack, tmp_path: Path) -> None:
    url = ("--url", f"http://127.0.0.1:{stack.port}")
    look = ("monitor", "--rerank", "--once", *url, "--plot", "looks.png")
    folder, looks = answered(edge, tmp_path, look, look)
    for n, ended in enumerate(looks, 1):
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert f"of {n}, 0 unanswered" in ended.stdout
    assert len(History(folder / "monitor-rerank.json").probes) == 2
    assert (folder / "looks.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "monitor.json").exists()


def test_the_standard_ranking_is_computed_each_time(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.port}"
    client = ChatClient(url, route=ROUTE)
    assert rerank_question("") == rerank_question("")
    for _ in range(3):  # unless a part stands still
        replies = [client.ask(rerank_question("")) for _ in range(2)]
        if {one.outcome for one in replies} == {"answered"}:
            break
    client.close()
    assert [(one.outcome, one.cached) for one in replies] == [("answered", False)] * 2


def test_a_reranker_is_measured(edge: str, stack: Stack, tmp_path: Path) -> None:
    words = ("--scenario", "rerank", "--stages", "1,2", "--requests", "4", "--out", "o")
    command = ("bench", "--url", f"http://127.0.0.1:{stack.port}", *words)
    folder, [ended] = answered(edge, tmp_path, command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 users: 4 answered, 0 refused, 0 failed" in ended.stdout
    assert {one.cached for one in Run.load(folder / "o/run.json").samples} == {False}


def test_the_monitor_reports_a_missing_server(edge: str, tmp_path: Path) -> None:
    ended = typed(edge, tmp_path, "monitor", "--once", "--url", "http://127.0.0.1:1")
    assert ended.returncode == 1
    assert "failed (connection)" in ended.stdout


def n_answered(stack: Stack) -> int:
    """The number of questions that the stack has answered."""
    log = stack.data_dir / "state" / str(stack.port) / "logs" / "worker.log"
    return log.read_text().count("succeeded in")

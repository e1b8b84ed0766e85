"""The scenario that switches models leaves a server as it found it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.benchmarks.load.chat_server import answer_with, chat_server
from tests.benchmarks.load.load_process import PATIENCE_S, ROOT, start

# In a process of its own: to import the scenario patches sockets.
SCRIPT = """
import json, sys
from subprocess import CompletedProcess
from benchmarks.scenarios.switch import Switches

statuses, looks = json.loads(sys.argv[1]), [9.0] * int(sys.argv[2])
words, failures = [], []

def edge(word):
    words.append(word)
    status = statuses.pop(0) if statuses else 0
    return CompletedProcess([], status, "", "It is not there.")

def left_s():
    return looks.pop() if looks else 0.0

one = Switches("b", 0.01, edge, left_s, lambda took_s, news: failures.append(news))
one._loop.join()
one.end()
print(json.dumps([words, len(failures)]))
"""


@pytest.mark.parametrize(
    ("statuses", "n_switches", "words"),
    [
        ([], 2, ["b", "--back"]),
        ([], 3, ["b", "--back", "b", "--back"]),  # the last one when all is over
        ([1, 1], 2, ["b", "b"]),  # it never went there, and need not come back
        ([0, 1], 2, ["b", "--back", "--back"]),
    ],
)
def test_the_first_model_is_the_default_at_the_end(
    statuses: list[int], n_switches: int, words: list[str]
) -> None:
    command = [sys.executable, "-c", SCRIPT, json.dumps(statuses), str(n_switches)]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [words, sum(statuses)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--stages", "1", "--requests", "1"], "second stage"),
        (["--stages", "1,1", "--duration-s", "1"], "shorter --every-s"),
    ],
)
def test_a_run_in_which_nothing_can_be_switched_says_so(
    words: list[str], reason: str
) -> None:
    with chat_server(answer_with("a")) as server:
        words = [*words, "--url", server.url, "--scenario", "switch"]
        with start("benchmarks.load.generator", *words) as process:
            _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert errors.count("No switch will happen") == 1
    assert reason in errors

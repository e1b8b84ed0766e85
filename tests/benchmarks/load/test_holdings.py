"""The samples of what a real process and a real Redis hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.load import holdings
from benchmarks.load.holdings import Holdings, Series
from edge import host
from edge.host import Held
from edge.redis_clients import sync_client
from tests.conftest import wait_for

SCRIPT = (
    "held = bytearray(50_000_000); f = open('/dev/null'); print(flush=True); input()"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "INTERVAL_S", 0.05)


def test_a_process_and_its_folders_are_sampled(tmp_path: Path) -> None:
    series: Series = {}
    (tmp_path / "log").write_bytes(b"x" * 3_000_000)
    command = [sys.executable, "-c", SCRIPT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout and process.stdout.readline()
        with Holdings(process.pid, tmp_path, time.time(), series):
            wait_for(lambda: len(series.get("disk of state", ())) > 2)
        process.communicate(b"\n")
    (memory,) = (n for n in series if n.startswith("memory of python"))
    assert all(50 < value < 90 for _, value in series[memory])
    assert [n for _, n in series["processes"]] == [1] * len(series["processes"])
    assert series[memory.replace("memory", "threads")][0][1] == 1
    assert series[memory.replace("memory", "open files")][0][1] == 4
    assert all(3 <= value < 3.2 for _, value in series["disk of state"])


def test_a_child_that_is_not_yet_another_program_has_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its parent's name and works in `/`: once the whole disk was counted."""
    (tmp_path / "ui").mkdir()
    (tmp_path / "log").write_bytes(b"x" * 3_000_000)
    held = [Held("ui", folder, 0, 0, 0, 0) for folder in (tmp_path / "ui", Path("/"))]
    monkeypatch.setattr(host, "held_by", lambda _: held)
    series: Series = {}
    Holdings(os.getpid(), None, time.time(), series).sample()
    [(_, on_disk)] = series["disk of temporary files"]
    assert 3 <= on_disk < 3.2


@pytest.mark.redis
def test_keys_are_counted_by_their_kind(tmp_path: Path, broker_url: str) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "url").write_text(broker_url)
    broker = sync_client(broker_url)
    broker.set("edge:job:a", 1, ex=60)
    broker.set("edge:job:b", 1, ex=60)
    broker.set("edge:pools", 1)
    series: Series = {}
    with Holdings(os.getpid(), tmp_path, time.time(), series):
        wait_for(lambda: "keys edge:pools" in series)
    assert series["keys edge:job"][0][1] == 2
    assert series["keys without expiry in broker"][0][1] == 1
    assert series["memory in broker"][0][1] > 0

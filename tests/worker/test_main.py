"""`python -m worker` and its broker: it waits for one, and outlives its absence."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.up.parts import free_port
from tests.conftest import wait_for
from tests.faults.service import ROOT, Server

pytestmark = [pytest.mark.redis, pytest.mark.model]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "broker")
    yield server
    server.kill()


def test_a_worker_waits_for_its_broker_and_outlives_it(
    broker: Server, tmp_path: Path
) -> None:
    """Its probe of liveness answers all the time, that of readiness with the broker."""
    broker.kill()
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")} | {
        "EDGE_BROKER_URL": broker.url,
        "EDGE_MODEL": "tiny",
        "EDGE_DATA_DIR": str(tmp_path),
        "EDGE_METRICS_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }

    def is_ready() -> bool:
        probe = [sys.executable, "-m", "worker.healthcheck"]
        done = subprocess.run(probe, env=environ, cwd=tmp_path, capture_output=True)
        return done.returncode == 0

    def is_alive() -> bool:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as reply:
            return bool(reply.status == 200)

    log = tmp_path / "worker.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "worker"]
        worker = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=out)
    try:
        wait_for(lambda: "It is tried again" in log.read_text(), 40)
        assert not is_ready()
        broker.start()
        wait_for(is_ready, 80)
        broker.kill()
        wait_for(lambda: not is_ready(), 30)
        assert is_alive()
        broker.start()
        wait_for(is_ready, 80)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait(60)

"""A real Prometheus with the committed rules scrapes a real service, and what goes
wrong there makes the alerts fire.

Only targets and intervals differ from the committed configuration: a rule's own `for`
stays, so this takes six minutes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from edge.up.parts import LOOPBACK, free_port
from tests.conftest import wait_for
from tests.deploy.conftest import debian
from tests.faults.asking import ask, until
from tests.faults.conftest import Start
from tests.faults.service import ROOT, Service

pytestmark = [pytest.mark.redis, pytest.mark.faults, pytest.mark.slow]

FOLDER = ROOT / "benchmarks/monitoring"
SCRAPE_S = 2
BACKLOG = 16


class Prometheus:
    """Debian's, with the rules of the project, over the parts of a service."""

    def __init__(self, folder: Path, service: Service, worker_port: int) -> None:
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = dict.fromkeys(config["global"], f"{SCRAPE_S}s")
        ports = {"edge-ui": service.ports[0], "edge-worker": worker_port}
        for job in config["scrape_configs"]:
            [target] = job["static_configs"]
            target["targets"] = [f"{LOOPBACK}:{ports[job['job_name']]}"]
        for name in config["rule_files"]:
            shutil.copy(FOLDER / name, folder / name)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://{LOOPBACK}:{free_port()}"
        server = debian("prometheus") / "usr/bin/prometheus"
        options = {"config.file": folder / "prometheus.yml"}
        options |= {"storage.tsdb.path": folder / "data"}
        options |= {"web.listen-address": self.url.removeprefix("http://")}
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(server), *(f"--{name}={value}" for name, value in options.items())],
            stderr=self._log,
        )
        wait_for(self._is_ready, 30)

    def ask(self, path: str, **query: str) -> Any:
        return httpx.get(f"{self.url}/api/v1/{path}", params=query).json()["data"]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self.ask("alerts")["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    def value(self, expression: str) -> float:
        [found] = self.ask("query", query=expression)["result"]
        return float(found["value"][1])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def watched(start: Start, tmp_path: Path) -> Iterator[tuple[Service, Prometheus]]:
    """A service whose answers outlast their deadline, and its Prometheus."""
    port = free_port()
    options = {"metrics_port": str(port), "backlog": str(BACKLOG)}
    with start(worker=("--step-s", "0.5"), client_jobs="18", **options) as service:
        prometheus = Prometheus(tmp_path, service, port)
        yield service, prometheus
        prometheus.stop()


@pytest.mark.timeout(600)
async def test_faults_make_the_alerts_fire(
    watched: tuple[Service, Prometheus],
) -> None:
    service, prometheus = watched
    await asyncio.sleep(3 * SCRAPE_S)
    assert prometheus.firing() == set()
    # the queue is full
    began = time.monotonic()
    tasks = [
        asyncio.create_task(ask(service.url, f"q{n}", n=4000, key=f"k{n}"))
        for n in range(2 + BACKLOG)
    ]
    await until(lambda: service.n_live() == 2 + BACKLOG, 30)
    assert (await ask(service.url, "one more", key="more")).end == "queue_full"
    await until(lambda: prometheus.firing() == {"EdgeQueueAge"}, 240)
    assert time.monotonic() - began > 170  # 120 s old, for a minute
    present = prometheus.value("edge:demand_slots")
    assert 14 <= present <= 18
    assert prometheus.value("edge:workers_wanted") >= 9  # of two slots, 80 % busy
    # the worker ends, and nobody starts another
    service.leave_dead("worker0").stop(in_a_hurry=lambda: True)
    stopped = time.monotonic()
    await until(lambda: prometheus.firing() >= {"EdgeDown", "EdgeNoWorker"}, 120)
    assert time.monotonic() - stopped > 55  # neither at once
    # the broker is away
    service.broker.kill()
    await until(lambda: "EdgeBrokerDown" in prometheus.firing(), 120)
    service.broker.start()
    await until(lambda: "EdgeBrokerDown" not in prometheus.firing(), 30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert os.path.getsize(service.folder / "web0.log") < 1 << 20

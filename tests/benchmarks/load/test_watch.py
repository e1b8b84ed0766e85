"""The watch measures the processor and memory of a real process, and the queue."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from statistics import median

import psutil
import pytest

from benchmarks.load.watch import Watch
from tests.conftest import wait_for

BUSY = "held = bytearray(50_000_000)\nwhile True: sum(range(10_000))"


@contextmanager
def metrics(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def busy() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield process.pid
    process.kill()
    process.wait()


def test_a_busy_process_is_measured(busy: int) -> None:
    wait_for(lambda: psutil.Process(busy).memory_info().rss > 50_000_000)
    with Watch(busy, "http://127.0.0.1:1", time.time()) as watch:
        wait_for(lambda: len(watch.samples) > 4)
        spent = sum(psutil.Process(busy).cpu_times()[:2])
        wait_for(lambda: sum(psutil.Process(busy).cpu_times()[:2]) > spent + 0.2)
        wait_for(lambda: sum(one.cpu_percent for one in watch.samples) > 0)
    (resident,) = {sum(one.resident_bytes.values()) > 50e6 for one in watch.samples}
    assert resident
    # of one core; a single sample is wrong where the machine stood still meanwhile
    assert median(one.cpu_percent for one in watch.samples) < 150
    assert all(one.cpu_percent >= 0 for one in watch.samples)
    times = [one.at_s for one in watch.samples]
    assert times == sorted(times)
    assert all(one.queued is None for one in watch.samples)  # no server exports it


@pytest.mark.parametrize(
    "text",
    [
        "# TYPE edge_jobs_waiting gauge\nedge_jobs_waiting 7.0\n",
        "llamacpp:requests_processing 4\nllamacpp:requests_deferred 7\n",
    ],
)
def test_the_queue_is_read_from_the_metrics(text: str) -> None:
    with metrics(text) as url, Watch(None, url, time.time()) as watch:
        wait_for(lambda: any(one.queued == 7 for one in watch.samples))
    assert all(one.resident_bytes == {} for one in watch.samples)


def test_a_process_that_ends_is_not_a_failure(busy: int) -> None:
    with Watch(busy, "http://127.0.0.1:1", time.time()) as watch:
        wait_for(lambda: watch.samples)
        psutil.Process(busy).kill()
        wait_for(lambda: watch.samples[-1].resident_bytes == {})

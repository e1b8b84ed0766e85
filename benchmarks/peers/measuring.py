"""The parts of the comparison, measured on one server with our load generator."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from benchmarks.load.measure import Workload, measure
from benchmarks.load.target import Target
from benchmarks.peers.recipes import Peer
from benchmarks.peers.results import Part
from benchmarks.peers.table import EXTRACTION, FOUR, IDLE, KNOWN, ONE
from benchmarks.record import Run
from edge import host
from edge.errors import SetupError

GREEDY: Final = {"temperature": 0}  # servers draw differently by default
IDLE_S: Final = 30.0
REST_S: Final = 5.0  # before the time at rest: the last answer is put away
# Seldom: reading the page tables of gigabytes holds up the server for milliseconds.
MEMORY_INTERVAL_S: Final = 5.0


@dataclass(frozen=True)
class Load:
    """Questions of one part."""

    scenario: str
    users: int
    requests: int
    max_tokens: int = 64

    @property
    def workload(self) -> Workload:
        return Workload(
            scenario=self.scenario,
            stages=[self.users],
            duration_s=None,
            requests=self.requests,
            max_tokens=self.max_tokens,
            fields=GREEDY,
        )


WARM_UP: Final = Load("curve", users=1, requests=1)  # the first answer takes longer
LOADS: Final = {
    ONE: Load("curve", users=1, requests=3),
    FOUR: Load("curve", users=4, requests=8),
    KNOWN: Load("shared", users=1, requests=4),
    EXTRACTION: Load("extraction", users=1, requests=3, max_tokens=400),
}
PARTS: Final = (*LOADS, IDLE)


def measure_part(name: str, target: Target) -> Part:
    """One of PARTS on a running server. Raises SetupError when it is interrupted."""
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    with _watch_memory(target.pid) as peak:
        if name == IDLE:
            time.sleep(REST_S)
            cpu_percent = _cpu_percent(target.pid, IDLE_S)
            return Part(measured_at, IDLE_S, peak.bytes, [], cpu_percent)
        run = _ask(LOADS[name], target)
    (stage,) = run.stages
    seconds = stage.ended_s - stage.began_s
    return Part(measured_at, seconds, peak.bytes, run.samples)


def warm_up(target: Target) -> None:
    """Asks one question. Raises SetupError when it is not answered."""
    (sample,) = _ask(WARM_UP, target).samples
    if sample.outcome != "answered":
        raise SetupError(
            f"{target.url} does not answer a question about a picture ({sample.code}). "
            "Read its log."
        )


def version_of(peer: Peer) -> str:
    """The first line of what its version command prints."""
    command = subprocess.run(
        peer.version, capture_output=True, text=True, check=False, timeout=60
    )
    printed = (command.stdout + command.stderr).strip() or "unknown"
    return printed.splitlines()[0].removeprefix("version: ")


def _ask(load: Load, target: Target) -> Run:
    """Raises SetupError when it is interrupted: an incomplete part compares with
    nothing."""
    # without the process: its memory is watched here
    anywhere = Target(target.url, None)
    run = measure(load.workload, anywhere, load.scenario, _ignore)
    if len(run.samples) < load.requests:
        raise SetupError(
            f"Interrupted after {len(run.samples)} of {load.requests} questions: "
            "measure this part again."
        )
    return run


def _ignore(*_: object) -> None:
    """Progress that nobody sees."""


@dataclass
class Peak:
    bytes: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def _watch_memory(pid: int | None) -> Iterator[Peak]:
    """The most memory of a process and its descendants while the block runs."""
    peak = Peak()

    def sample() -> None:
        while pid is not None:
            peak.bytes = max(peak.bytes, host.proportional_bytes(pid))
            if peak.over.wait(MEMORY_INTERVAL_S):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        peak.over.set()
        thread.join()


def _cpu_percent(pid: int | None, seconds: float) -> float | None:
    """CPU time of a process and its descendants, in per cent of one core."""
    if pid is None:
        return None
    began, before = time.monotonic(), _cpu_s(pid)
    time.sleep(seconds)
    return 100 * (_cpu_s(pid) - before) / (time.monotonic() - began)


def _cpu_s(pid: int) -> float:
    return sum(use.cpu_s for use in host.use_of(pid).values())

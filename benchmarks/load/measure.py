"""One complete run: the load in a separate process, the watch beside it.

The load generator is a separate process, because gevent replaces the sockets and
threads of the standard library.
"""

from __future__ import annotations

import json
import math
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from benchmarks.load.fingerprint import fingerprint
from benchmarks.load.holdings import Holdings
from benchmarks.load.target import Target
from benchmarks.load.watch import Watch
from benchmarks.record import Run, Sample, Stage
from edge.errors import SetupError

TICK_S = 0.25


@dataclass(frozen=True)
class Workload:
    """A scenario, its stages, and the length of each."""

    scenario: str
    stages: Sequence[int]
    duration_s: float | None
    requests: int | None  # in each stage; this or duration_s is None
    timeout_s: float | None = None
    max_tokens: int | None = None
    model: str = ""
    seed: int | None = None  # None: pictures of no earlier run
    api_key_file: Path | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)  # of each request
    scenario_options: Mapping[str, str] = field(default_factory=dict)

    def command(self, url: str) -> list[str]:
        """The command line of the load generator."""
        options = {
            "url": url,
            "scenario": self.scenario,
            "stages": ",".join(map(str, self.stages)),
            "duration-s": self.duration_s,
            "requests": self.requests,
            "timeout-s": self.timeout_s,
            "max-tokens": self.max_tokens,
            "model": self.model or None,
            "seed": self.seed,
            "api-key-file": self.api_key_file,
            "fields": json.dumps(self.fields) if self.fields else None,
            **self.scenario_options,
        }
        given = {name: value for name, value in options.items() if value is not None}
        words = [word for name in given for word in (f"--{name}", str(given[name]))]
        return [sys.executable, "-m", "benchmarks.load.generator", *words]


# Called after each event, and four times a second without any, with the run so far, the
# current stage, and the seconds since the run began.
OnProgress = Callable[[Run, Stage | None, float], None]


def measure(
    workload: Workload, target: Target, name: str, on_progress: OnProgress
) -> Run:
    """Runs `workload` against `target`. Ctrl-C ends it and keeps its samples.

    Raises SetupError, with the stderr of the load generator, when there are none.
    """
    run = Run(
        name=name,
        url=target.url,
        began_at=datetime.now(UTC).isoformat(timespec="seconds"),
        scenario=workload.scenario,
        fingerprint=fingerprint(target.about),
    )
    with tempfile.TemporaryFile("w+") as stderr:
        load = subprocess.Popen(
            workload.command(target.url),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # it gets Ctrl-C once, from this process
        )
        with load, _forward_signals(load), ExitStack() as beside:
            _collect(load, target, run, on_progress, beside)
        if not run.samples:
            stderr.seek(0)
            reason = stderr.read().strip() or "It was stopped before the first answer."
            raise SetupError(f"Nothing was measured. {reason}")
    return run


def _collect(
    load: subprocess.Popen[str],
    target: Target,
    run: Run,
    on_progress: OnProgress,
    beside: ExitStack,
) -> None:
    """Adds to `run` the events of the load generator and the samples of the watch."""
    began = time.time()
    watch: Watch | None = None
    current: Stage | None = None
    for event in _events(load):
        if "began" in event:
            began = event["began"]
            watch = beside.enter_context(Watch(target.pid, target.url, began))
            if target.pid and run.scenario == "soak":
                holdings = Holdings(target.pid, target.state, began, run.held)
                beside.enter_context(holdings)
        elif "stage" in event:
            current = Stage(**event["stage"], ended_s=math.inf)
        elif "sample" in event:
            run.samples.append(Sample(**event["sample"]))
        elif "ended" in event:
            run.stages.append(Stage(**event["ended"]))
            current = None
        on_progress(run, current, time.time() - began)
    if watch:
        run.watched = watch.samples


def _events(load: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The events of the load generator; {} after each tick without one."""
    assert load.stdout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(load.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=TICK_S)
        except queue.Empty:
            yield {}
            continue
        if line is None:
            return
        yield json.loads(line)


def _read(stdout: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in stdout:
        lines.put(line)
    lines.put(None)  # the end


@contextmanager
def _forward_signals(load: subprocess.Popen[str]) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM end only the load, so that this process
    can save its samples."""
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(kind, lambda *_: load.send_signal(signal.SIGINT))
        for kind in kinds
    ]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)

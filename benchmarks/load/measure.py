"""One run from end to end: the load in a process of its own, the watch beside it.

The load generator must be another process, because gevent replaces what Python's
standard library does about sockets and threads.
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
from benchmarks.load.target import Target
from benchmarks.load.watch import Watch
from benchmarks.record import Run, Sample, Stage
from edge.errors import SetupError

TICK_S = 0.25


@dataclass(frozen=True)
class Workload:
    """What is asked of a server: a scenario, its stages, and how long each is."""

    scenario: str
    stages: Sequence[int]
    duration_s: float | None
    requests: int | None  # in each stage; one of the two is None
    timeout_s: float | None = None
    max_tokens: int | None = None
    model: str = ""
    seed: int | None = None  # None: pictures that no run has seen
    api_key_file: Path | None = None
    scenario_options: Mapping[str, str] = field(default_factory=dict)

    def command(self, url: str) -> list[str]:
        """The load generator's command line."""
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
            **self.scenario_options,
        }
        given = {name: value for name, value in options.items() if value is not None}
        words = [word for name in given for word in (f"--{name}", str(given[name]))]
        return [sys.executable, "-m", "benchmarks.load.generator", *words]


# Called at all news, and four times a second without any, with: the run so far, the
# stage that goes on, seconds since 0.
OnProgress = Callable[[Run, Stage | None, float], None]


def measure(
    workload: Workload, target: Target, name: str, on_progress: OnProgress
) -> Run:
    """Runs `workload` against `target`. Ctrl-C ends it and keeps what was measured.

    Raises SetupError with the load generator's last words when it measured nothing.
    """
    run = Run(
        name=name,
        url=target.url,
        began_at=datetime.now(UTC).isoformat(timespec="seconds"),
        scenario=workload.scenario,
        fingerprint=fingerprint(target.about),
    )
    with tempfile.TemporaryFile("w+") as words:
        load = subprocess.Popen(
            workload.command(target.url),
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            start_new_session=True,  # Ctrl-C reaches it through us, once
        )
        with load, _stopped_by_signals(load), ExitStack() as beside:
            _collect(load, target, run, on_progress, beside)
        if not run.samples:
            words.seek(0)
            said = words.read().strip() or "It was stopped before the first answer."
            raise SetupError(f"Nothing was measured. {said}")
    return run


def _collect(
    load: subprocess.Popen[str],
    target: Target,
    run: Run,
    on_progress: OnProgress,
    beside: ExitStack,
) -> None:
    """Adds to `run` what the load generator says and what the watch sees."""
    began = time.time()
    watch: Watch | None = None
    current: Stage | None = None
    for said in _lines(load):
        if "began" in said:
            began = said["began"]
            watch = beside.enter_context(Watch(target.pid, target.url, began))
        elif "stage" in said:
            current = Stage(**said["stage"], ended_s=math.inf)
        elif "sample" in said:
            run.samples.append(Sample(**said["sample"]))
        elif "ended" in said:
            run.stages.append(Stage(**said["ended"]))
            current = None
        on_progress(run, current, time.time() - began)
    if watch:
        run.watched = watch.seen


def _lines(load: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What the load generator says; {} when it has said nothing for a while."""
    assert load.stdout
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(load.stdout, said), daemon=True).start()
    while True:
        try:
            line = said.get(timeout=TICK_S)
        except queue.Empty:
            yield {}
            continue
        if line is None:
            return
        yield json.loads(line)


def _read(stdout: IO[str], said: queue.SimpleQueue[str | None]) -> None:
    for line in stdout:
        said.put(line)
    said.put(None)


@contextmanager
def _stopped_by_signals(load: subprocess.Popen[str]) -> Iterator[None]:
    """While the block runs, what should end us ends the load and lets us write down
    what there is."""
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

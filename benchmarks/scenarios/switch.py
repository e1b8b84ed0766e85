"""Four users ask while the default model is switched again and again.

Field report B, its scenario B: 4.2 % errors and a P95 of 2.3 s. The first stage has no
switches, for comparison. Needs a server of this machine, and the other model:
`edge models make tiny-q8`. At its end the first model is the default again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from time import perf_counter
from typing import ClassVar
from urllib.parse import urlsplit

import gevent
from gevent import subprocess
from gevent.event import Event
from locust import events
from locust.env import Environment

from benchmarks.load import options
from benchmarks.load.answer import Answer
from benchmarks.load.exchange import Reply
from benchmarks.load.user import ChatUser

STAGES = (4, 4)
DURATION_S = 120

EDGE = (sys.executable, "-c", "from edge.cli.app import app; app()", "switch")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", default="tiny-q8", help="the other model")
    parser.add_argument(
        "--every-s", type=float, default=10.0, help="from one switch to the next"
    )


options.add(_add_options)


def check(parsed: argparse.Namespace) -> str:
    """Why no switch will happen; empty if one can. Locust alone knows no stages."""
    if len(getattr(parsed, "stages", ())) < 2:
        return "No switch will happen: they begin in the second stage, as --stages 4,4."
    duration_s = parsed.duration_s
    if duration_s and duration_s <= parsed.every_s:
        return (
            f"No switch will happen: a stage of {duration_s:.0f} s ends before the "
            "first one is over. Give a shorter --every-s."
        )
    return ""


class Switches:
    """To the other model and back again and again, until `end`. `report` is given how
    long a failed switch took, and what it said."""

    def __init__(
        self,
        to: str,
        every_s: float,
        edge: Callable[..., subprocess.CompletedProcess[str]],
        left_s: Callable[[], float],
        report: Callable[[float, str], None],
    ) -> None:
        self._to, self._every_s = to, every_s
        self._edge, self._left_s, self._report = edge, left_s, report
        self._is_away = False
        self._is_over = Event()
        self._loop = gevent.spawn(self._run)

    def end(self) -> None:
        """Returns when the first model is the default again, as far as that goes."""
        self._is_over.set()
        self._loop.join()
        if self._is_away and not self._switch():
            print(f"{self._to} is still the default model.", file=sys.stderr)

    def _run(self) -> None:
        while self._left_s() > self._every_s and not self._is_over.is_set():
            began = perf_counter()
            self._switch()
            took_s = perf_counter() - began
            self._is_over.wait(max(0.0, self._every_s - took_s))

    def _switch(self) -> bool:
        """Whether it succeeded; a failed one is tried again, not switched back."""
        began = perf_counter()
        ended = self._edge("--back" if self._is_away else self._to)
        if ended.returncode:
            self._report(perf_counter() - began, ended.stderr[-200:])
            return False
        self._is_away = not self._is_away
        return True


class Switch(ChatUser):
    # Of the stage whose first user has begun to switch.
    switched_stage = 0
    switches: ClassVar[Switches | None] = None

    def on_start(self) -> None:
        super().on_start()
        stage = self.quota.stage
        if stage % 2 and stage != Switch.switched_stage:
            Switch.switched_stage = stage
            quota = self.quota
            Switch.switches = Switches(
                self.options.to,
                self.options.every_s,
                self._edge,
                lambda: quota.left_s(perf_counter()),
                self._report_failure,
            )

    def _edge(self, word: str) -> subprocess.CompletedProcess[str]:
        port = str(urlsplit(self.host or "").port or 8080)
        command = [*EDGE, word, "--port", port]
        # Ctrl-C is for us: what has begun is waited for, and switched back
        return subprocess.run(
            command, capture_output=True, text=True, start_new_session=True
        )

    def _report_failure(self, took_s: float, message: str) -> None:
        """A switch that fails counts as a failed request."""
        now, wall = perf_counter(), time.time()
        reply = Reply(Answer(now - took_s), took_s, "failed", message)
        self._report("switch", now - took_s, wall - took_s, reply)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _tell(environment: Environment, **_: object) -> None:
    """Before the first stage."""
    parsed = environment.parsed_options
    is_first = Switch in environment.user_classes and not Switch.quota.stage
    if parsed and is_first and (news := check(parsed)):
        print(news, file=sys.stderr)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def _switch_back(**_: object) -> None:
    """At the end of each stage, also one that is stopped early."""
    if Switch.switches:
        Switch.switches.end()
        Switch.switches = None

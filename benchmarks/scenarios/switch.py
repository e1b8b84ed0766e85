"""Four users ask while the default model is switched again and again.

Field report B, its scenario B: 4.2 % errors and a P95 of 2.3 s. The first stage has no
switches, for comparison. Needs a server of this machine, and the other model:
`edge models make tiny-q8`.
"""

from __future__ import annotations

import argparse
import sys
import time
from time import perf_counter
from urllib.parse import urlsplit

import gevent
from gevent import subprocess

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


class Switch(ChatUser):
    # Of the stage whose first user has begun to switch.
    switched_stage = 0

    def on_start(self) -> None:
        super().on_start()
        stage = self.quota.stage
        if stage % 2 and stage != Switch.switched_stage:
            Switch.switched_stage = stage
            gevent.spawn(self._switch_again_and_again)

    def _switch_again_and_again(self) -> None:
        """To the other model and back, until the stage ends. A switch that fails counts
        as a failed request."""
        port = str(urlsplit(self.host or "").port or 8080)
        quota, words = self.quota, [self.options.to]
        while quota.left_s(perf_counter()) > self.options.every_s:
            began, wall = perf_counter(), time.time()
            command = [*EDGE, *words, "--port", port]
            ended = subprocess.run(command, capture_output=True, text=True)
            took_s = perf_counter() - began
            if ended.returncode:
                reply = Reply(Answer(began), took_s, "failed", ended.stderr[-200:])
                self._report("switch", began, wall, reply)
            words = ["--back"]
            gevent.sleep(max(0.0, self.options.every_s - took_s))

"""The load generator, a separate process: users in stages, samples on stdout.

    python -m benchmarks.load.generator --url URL --stages 1,2,4 --requests 20

Prints one JSON object per line, unbuffered: {"began": unix time}, {"stage": ...} when
a stage begins, {"sample": ...} when a request ends, {"ended": ...} when a stage ends.
All other times are seconds since the run began. SIGINT and SIGTERM end the run; its
samples are kept, and requests without an answer yet are dropped.

A separate process, because Locust replaces Python's sockets by those of gevent.
"""

from __future__ import annotations

import importlib
import signal
import sys


def main() -> int:
    # Locust takes a second or more to import. A signal before that ends the process
    # without a traceback: nothing has been measured.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: sys.exit(0))
    stages = importlib.import_module("benchmarks.load.stages")
    return int(stages.main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())

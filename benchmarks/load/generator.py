"""The load generator, a process of its own: users in stages, samples on stdout.

    python -m benchmarks.load.generator --url URL --stages 1,2,4 --requests 20

Prints one JSON object a line, at once: {"began": unix time}, {"stage": ...} when a
stage begins, {"sample": ...} when a request has ended, {"ended": ...} when a stage has.
All other times are seconds since the run began. SIGINT and SIGTERM end the run: what
was measured is kept, what is under way is dropped.

It must be its own process because Locust replaces Python's sockets by gevent's.
"""

from __future__ import annotations

import importlib
import signal
import sys


def main() -> int:
    # Locust takes a second to import, on a busy machine many; who is stopped by then
    # has nothing to tell, and a traceback least of all.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: sys.exit(0))
    stages = importlib.import_module("benchmarks.load.stages")
    return int(stages.main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())

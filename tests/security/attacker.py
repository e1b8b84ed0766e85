"""A process that sends everything hostile at once, from several addresses.

`python -m tests.security.attacker PORT SECONDS RATE` prints "ready", begins when it
reads a line, and prints as JSON how many attacks of each kind ended how. RATE is the
attacks a second of all addresses together, sent with a low priority, because attacker
and server share a machine; 0: as many as come, with the same priority.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections import Counter

from tests.security.hostile import attacks
from tests.security.stranger import Attacker, outcome

ADDRESSES = [f"127.0.9.{n}" for n in range(1, 9)]
N_THREADS = 48
NICE = 10


def main(port: int, seconds: float, rate: float) -> None:
    kinds = attacks()
    if rate:
        os.nice(NICE)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    order = itertools.cycle(kinds)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    slowest = dict.fromkeys(kinds, 0.0)
    lock, n_begun = threading.Lock(), itertools.count()

    def attack_on(address: str) -> None:
        site = Attacker(port, address)
        while True:
            with lock:
                kind, n = next(order), next(n_begun)
                attack = next(kinds[kind])
            due = began + n / rate if rate else time.monotonic()
            if max(due, time.monotonic()) >= began + seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            start = time.monotonic()
            ended = outcome(attack, site)
            with lock:
                counts[kind][ended] += 1
                slowest[kind] = max(slowest[kind], time.monotonic() - start)

    threads = [
        threading.Thread(target=attack_on, args=[ADDRESSES[n % len(ADDRESSES)]])
        for n in range(N_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"counts": counts, "slowest": slowest}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))

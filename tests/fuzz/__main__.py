"""`python -m tests.fuzz --seconds 60`: each target in turn, with its outcomes."""

from __future__ import annotations

import argparse
import random
import sys
import traceback
import warnings

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """The number of targets that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    warnings.simplefilter("error")  # as pytest does
    print(f"seed {given.seed}, {given.seconds:g} s for each of {len(TARGETS)} targets")
    n_failed = 0
    for target in TARGETS:
        try:
            counts = fuzz(target, given.seconds, given.seed)
        except Exception:
            n_failed += 1
            traceback.print_exc()
            print(f"{target.name:<20} FAILED", flush=True)
        else:
            ends = ", ".join(f"{n:,} {how}" for how, n in counts.most_common())
            print(f"{target.name:<20} {counts.total():>9,}  {ends}", flush=True)
    return n_failed


if __name__ == "__main__":
    sys.exit(main())

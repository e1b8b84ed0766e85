"""`python -m worker` runs a worker until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys

from edge.errors import EdgeError
from edge.settings import Settings
from worker.app import run
from worker.lifecycle import Life


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = Settings.load()
        life = Life(settings)
        life.start()
    except EdgeError as error:
        sys.exit(error.message)
    run(settings, life)


if __name__ == "__main__":
    main()

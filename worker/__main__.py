"""`python -m worker` runs a worker until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys

from edge.errors import SetupError
from edge.settings import Settings
from worker.app import build


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = Settings.load()
        app = build(settings)
    except SetupError as error:
        sys.exit(error.message)
    app.worker_main(
        [
            "worker",
            "--pool=threads",  # one process holds the model; its threads only relay
            f"--concurrency={settings.slots}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )


if __name__ == "__main__":
    main()

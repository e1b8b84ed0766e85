"""`python -m worker` runs a worker until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys

from edge.errors import EdgeError
from edge.heap import keep_heap_small
from edge.jobs.broker_check import check_broker
from edge.logs import printable, set_up_logs
from edge.settings import Settings
from worker.app import run
from worker.lifecycle import Life

log = logging.getLogger(__name__)


def main() -> None:
    keep_heap_small()
    set_up_logs()
    try:
        settings = Settings.load()
        if settings.broker_url and (note := check_broker(settings.broker_url)):
            log.warning(note)
        life = Life(settings)
        life.start()
    except EdgeError as error:
        sys.exit(printable(error.message))
    run(settings, life)


if __name__ == "__main__":
    main()

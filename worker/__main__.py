"""`python -m worker` runs a worker until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

from edge.errors import EdgeError
from edge.heap import keep_heap_small
from edge.host import check_processor
from edge.jobs.broker_check import await_broker
from edge.logs import printable, set_up_logs
from edge.settings import Settings

log = logging.getLogger(__name__)


def main() -> None:
    keep_heap_small()
    set_up_logs()
    try:
        settings = Settings.load()
        if settings.runtime != "llama":
            check_processor()
        if settings.broker_url and (note := await_broker(settings.broker_url)):
            log.warning(note)
        # Not before: on an older processor these imports end in an illegal instruction.
        app = import_module("worker.app")
        life = import_module("worker.lifecycle").Life(settings)
        life.start()
    except EdgeError as error:
        sys.exit(printable(error.message))
    app.run(settings, life)


if __name__ == "__main__":
    main()

"""The worker's heartbeat: tells the fleet that questions can be answered here."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from edge.jobs.fleet import BEAT_S, Heart
from edge.redis_clients import UNREACHABLE
from worker.watchdog import Watchdog

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that beats until `close`, except while the watchdog is doubtful."""

    def __init__(self, heart: Heart, watchdog: Watchdog) -> None:
        self._heart = heart
        self._watchdog = watchdog
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name="heartbeat", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Leaves the fleet: from now on no new questions come here."""
        self._closed.set()

    def _loop(self) -> None:
        while not self._closed.is_set():
            self._watchdog.check_engine()
            self._watchdog.check_threads()
            try:
                if not self._watchdog.is_doubtful:
                    self._heart.beat()
                self._watchdog.check_queue()
            except UNREACHABLE as error:  # it beats again when Redis is back
                log.warning("no heartbeat: %s", error)
                self._watchdog.start_over()
            self._closed.wait(BEAT_S)
        with suppress(*UNREACHABLE):  # then the fleet soon misses its heartbeats
            self._heart.leave()

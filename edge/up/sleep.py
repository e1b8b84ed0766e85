"""Models that nobody asks leave memory, and come back at the next question."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from edge import host
from edge.errors import SetupError, Unavailable
from edge.jobs.switching import Switching
from edge.redis_clients import SyncRedis
from edge.up.model_worker import ModelWorker, Steps, insist
from edge.up.stand_in import StandIn, expected_info


class Sleeper:
    """One model: awake, or asleep while a stand-in keeps its place in the fleet."""

    def __init__(self, broker: SyncRedis, worker: ModelWorker) -> None:
        self.worker = worker
        self._broker = broker
        self._switching = Switching(broker)
        self._stand_in: StandIn | None = None
        self._asked_at = time.monotonic()
        self._n_asked = 0

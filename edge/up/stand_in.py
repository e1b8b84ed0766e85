"""Stands in the fleet for a model that is not in memory, so that questions wait for it
in its queue instead of being refused."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace

from edge.jobs.fleet import BEAT_S, CAPABILITIES, Heart, WorkerInfo
from edge.models.facts import facts_of
from edge.redis_clients import UNREACHABLE, SyncRedis
from edge.serving.plan import Plan


class StandIn:
    """Beats for a worker until `close`, in a thread. `load_s` is how long the model
    will take to load."""

    def __init__(self, broker: SyncRedis, info: WorkerInfo, load_s: float) -> None:
        # unlike the names of workers, which begin with the host
        name = f"asleep-{socket.gethostname()}-{info.pool}"
        self._broker = broker
        self._info = replace(info, name=name)
        self._load_s = load_s
        self._began: float | None = None
        self._room_s: float | None = None
        self._closed = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def wait_for_room(self, seconds: float) -> None:
        """Others have to leave memory first, in about `seconds`."""
        self._room_s = seconds

    def begin_loading(self) -> None:
        """From now on the time that is left becomes shorter."""
        self._began, self._room_s = time.monotonic(), None

    def rest(self) -> None:
        """It does not load, and waits for nothing."""
        self._began = self._room_s = None

    def fail(self) -> None:
        """The model cannot be loaded: it is not just asleep."""
        self._info = replace(self._info, cannot_load=True)

    def close(self) -> None:
        """Leaves the fleet."""
        self._closed.set()
        self._thread.join()  # or its last beat might bring it back
        with suppress(*UNREACHABLE):  # which misses its heartbeats soon
            Heart(self._broker, self._info).leave()

    def _beat(self) -> None:
        began, room_s = self._began, self._room_s
        passed_s = time.monotonic() - began if began else 0.0
        left_s = round(max(self._load_s - passed_s, 0.0) + (room_s or 0.0), 1)
        waits = room_s is not None
        info = replace(self._info, loading_s=left_s, waits_for_room=waits)
        Heart(self._broker, info).beat()

    def _loop(self) -> None:
        while not self._closed.wait(BEAT_S):
            with suppress(*UNREACHABLE):
                self._beat()


def expected_info(plan: Plan) -> WorkerInfo:
    """What the worker of a plan will say of itself, if it can serve as planned. Reads
    both files, about a second for each GiB."""
    language, vision = plan.language, plan.vision
    tower = f"openvino {vision.vision}" if vision.kernels else "mtmd"
    runtime = (
        f"openvino {language.kernels.weights}" if language.kernels else "llama.cpp"
    )
    facts = facts_of(plan.files)
    return WorkerInfo(
        name="",
        model=plan.files.name,
        fingerprint=f"{facts.digest} {tower}",
        vision=tower,
        n_slots=plan.settings.slots,
        runtime=runtime,
        n_cells=plan.n_kv_cells,
        min_image_tokens=plan.min_image_tokens,
        max_image_tokens=plan.max_image_tokens,
        capabilities=CAPABILITIES,
        **vars(facts),
    )

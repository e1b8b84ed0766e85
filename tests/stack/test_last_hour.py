"""`edge doctor` reads the last hour of a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.settings import Settings
from edge.up import doctor
from edge.up.last_hour import read_figures, runs
from edge.up.symptoms import ENOUGH, Figures
from tests.conftest import wait_for
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]


def test_the_figures_of_a_running_service(stack: Stack, tmp_path: Path) -> None:
    for n in range(ENOUGH):
        message = {"role": "user", "content": f"What shape is this? ({n})"}
        body = {"messages": [message], "max_tokens": 8}
        assert stack.post("/v1/chat/completions", body).status_code == 200
    settings = Settings(data_dir=tmp_path)
    looks: list[Figures | None] = []

    def all_is_seen() -> bool:  # unless a part stands still
        looks.append(found := read_figures(settings, stack.port))
        told = found and (found.n_workers, found.broker_is_up, found.cache_is_up)
        return told == (1, True, True) and bool(found and found.n_answers)

    wait_for(all_is_seen)
    found = looks[-1]
    assert found is not None
    assert found.n_answers >= ENOUGH and found.ended[""] >= ENOUGH
    assert {"queue", "prefill", "decode", "e2e"} <= set(found.stage_s)
    assert runs(settings, stack.port)
    assert [*doctor.last_hour(settings, stack.port, found)]
    held = doctor.held_bytes(stack.port)
    assert held is not None and held > 50 << 20  # at least Python, several times

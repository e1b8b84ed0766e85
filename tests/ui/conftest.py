"""What all tests of the web process share."""

from __future__ import annotations

import pytest

from worker import preflight


@pytest.fixture(autouse=True)
def brief_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's checker ends soon after it is told to."""
    monkeypatch.setattr(preflight, "LOOK_S", 0.05)

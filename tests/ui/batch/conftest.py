"""Fixtures of all tests of batches."""

from __future__ import annotations

import pytest

from ui.batch import folders, runner


@pytest.fixture(autouse=True)
def brief_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    monkeypatch.setattr(folders, "LEFT_FREE", 0)

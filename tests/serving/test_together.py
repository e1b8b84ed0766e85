"""Plans of several models, whose memory is added up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge import host
from edge.errors import SetupError
from edge.models.registry import ModelFiles
from edge.serving.plan import least_need, make_plan
from edge.serving.together import plan_together
from edge.settings import Settings

Models = list[tuple[Settings, ModelFiles]]


@pytest.fixture
def models(tiny: tuple[Path, Path], tmp_path: Path) -> Models:
    """Two, of which one can take less memory."""
    settings = Settings(data_dir=tmp_path, runtime="openvino")
    return [
        (settings, ModelFiles("one", *tiny)),
        (replace(settings, weights="int8", graphs=1), ModelFiles("two", *tiny)),
    ]


def sum_of_least(models: Models) -> int:
    return sum(least_need(*each).total_bytes for each in models)


def free(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(host, "available_memory_bytes", lambda: n_bytes)


def test_each_gets_its_best_plan_where_there_is_room(models: Models) -> None:
    plans = plan_together(models, 0)
    assert [plan.files.name for plan in plans] == ["one", "two"]
    assert [p.choice for p in plans] == [make_plan(*each).choice for each in models]


def test_two_that_just_fit_get_the_smallest_choices(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, sum_of_least(models) + 1000)
    plans = plan_together(models, reserve_bytes=1000)
    needs = [plan.need.total_bytes for plan in plans]
    assert sum(needs) == sum_of_least(models)


def test_two_that_do_not_fit_are_refused_with_the_sum(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, sum_of_least(models) - 1)
    with pytest.raises(SetupError, match=r"GiB together \(one 0\.\d \+ two 0\.\d\)"):
        plan_together(models, 0)


def test_one_alone_is_refused_as_ever(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1000)
    with pytest.raises(SetupError, match="The model needs more memory"):
        plan_together(models[:1], 0)

"""Plans of several models, whose memory is added up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge import host
from edge.errors import SetupError
from edge.gguf.layout import TINY
from edge.gguf.synthetic import write_synthetic
from edge.images import AUTO_TOKENS
from edge.models.registry import ModelFiles
from edge.serving.plan import least_need, make_plan
from edge.serving.together import plan_together
from edge.settings import Settings

Models = list[tuple[Settings, ModelFiles]]


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Two, which can take less memory: for smaller pictures, one in four bits too."""
    shapes = replace(TINY, max_image_tokens=2048)
    pair = write_synthetic(tmp_path, shapes=shapes, n_tokens=2000)
    settings = Settings(data_dir=tmp_path, runtime="openvino")
    return [
        (settings, ModelFiles("one", *pair)),
        (replace(settings, weights="int8", graphs=1), ModelFiles("two", *pair)),
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
    assert [plan.max_image_tokens for plan in plans] == [AUTO_TOKENS] * 2


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

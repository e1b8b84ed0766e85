"""Which worker serves a name, for which key."""

from __future__ import annotations

import pytest

from edge.errors import Forbidden, InvalidRequest, ModelNotFound, NoWorker
from edge.jobs.fleet import WorkerInfo
from edge.limits import Limits
from ui.admission import serving


def worker(name: str, *names: str, can: tuple[str, ...] | None = None) -> WorkerInfo:
    return WorkerInfo(
        name, name, name, "stub", 4, capabilities=can, names=(name, *names)
    )


WORKERS = [
    worker("ranker", "default", "mine", can=("rerank",)),
    worker("small", "gpt-4o"),
    worker("large", can=("chat", "rerank")),
]


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("small", "small"),
        ("gpt-4o", "small"),
        ("gpt-4o:latest", "small"),
        ("small:latest", "small"),
        ("large", "large"),
    ],
)
def test_a_name_or_an_alias_finds_its_model(model: str, served: str) -> None:
    assert serving(model, WORKERS, Limits()).model == served


def test_without_a_name_the_first_that_can_do_it_serves() -> None:
    assert serving("", WORKERS, Limits()).model == "small"
    assert serving("", WORKERS, Limits(), "rerank").model == "ranker"
    assert serving("", WORKERS, Limits(models=("large",)), "rerank").model == "large"


def test_a_model_is_not_asked_for_what_it_cannot_do() -> None:
    with pytest.raises(InvalidRequest, match=r"ranker is not a model for chat.*large"):
        serving("mine", WORKERS, Limits())


def test_a_key_sees_through_aliases() -> None:
    by_model, by_alias = Limits(models=("small",)), Limits(models=("gpt-4o",))
    for limits in (by_model, by_alias):
        assert serving("gpt-4o", WORKERS, limits).model == "small"
        assert serving("small", WORKERS, limits).model == "small"
        with pytest.raises(Forbidden, match="other models: small"):
            serving("large", WORKERS, limits)


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(ModelNotFound, match="Served: small"):
        serving("huge", WORKERS, Limits(models=("small",)))
    with pytest.raises(NoWorker):
        serving("", [], Limits())
